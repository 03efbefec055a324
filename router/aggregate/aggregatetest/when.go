package aggregatetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/millrace/millrace/router/aggregate"
)

// decisions is how often a command is decided: maps, for one, have a random
// order.
const decisions = 10

// Decision is the outcome of a command. Then, ThenRefused or ThenUnchanged
// checks the decision.
type Decision struct {
	given   *History
	command aggregate.AnyCommand
	event   aggregate.AnyEvent
	err     error
}

// When decides a command on the state of the history. The command is given as
// a struct or as a pointer to a struct.
func (h *History) When(command aggregate.AnyCommand) *Decision {
	h.t.Helper()
	h.checkCommand(command)
	d := &Decision{given: h, command: command}
	before := h.encode(h.state)
	d.event, d.err = h.of.Decide(h.state, command)
	for i := range decisions {
		state := h.state
		if i%2 == 0 {
			state = h.decode(before)
		}
		event, err := h.of.Decide(state, command)
		if !same(event, d.event) || fmt.Sprint(err) != fmt.Sprint(d.err) {
			first := d.outcome()
			d.event, d.err = event, err
			d.fail("the command, decided twice on one state, makes %s, and then %s", first, d.outcome())
		}
		if now := h.encode(state); !bytes.Equal(now, before) {
			d.fail("Decide changes the state from %s to %s", before, now)
		}
	}
	return d
}

// checkCommand fails for a command that the router would not hand to Decide.
func (h *History) checkCommand(command aggregate.AnyCommand) {
	h.t.Helper()
	if isNil(command) {
		h.fail("the command is nil")
	}
	var read aggregate.AnyCommand
	for _, create := range h.of.Commands() {
		if empty := create(); reflect.TypeOf(value(empty)) == reflect.TypeOf(value(command)) {
			read = empty
		}
	}
	if read == nil {
		h.fail("%T is not among the commands of aggregate %s", command, h.of.Name())
	}
	body, err := json.Marshal(command)
	if err == nil {
		err = json.Unmarshal(body, read)
	}
	if err != nil {
		h.fail("command %s can't be written and read: %v", command.Type(), err)
	}
	if !same(command, read) {
		h.fail("command %s is written as %s, and read as another command:\n\t%+v\n\t%+v", command.Type(), body, value(command), value(read))
	}
	id := command.AggregateID()
	switch parsed, err := h.of.ParseID(id); {
	case err != nil:
		h.fail("command %s: the id %q %v", command.Type(), id, err)
	case parsed != id:
		h.fail("command %s: the id %q is written as %q", command.Type(), id, parsed)
	case len(h.events) > 0 && h.events[0].AggregateID() != id:
		h.fail("command %s is about %s %q, and the history is that of %q", command.Type(), h.of.Name(), id, h.events[0].AggregateID())
	}
}

// Then checks that the command makes this event. The result is the history
// with the event.
func (d *Decision) Then(want aggregate.AnyEvent) *History {
	d.given.t.Helper()
	if isNil(want) {
		d.fail("Then wants an event: ThenUnchanged is for none")
	}
	if d.err != nil || !same(d.event, want) {
		d.fail("the command makes %s\nwant event %s", d.outcome(), d.given.text(want))
	}
	return d.given.and(d.event)
}

// ThenRefused checks that the command is refused, by slug, kind and detail.
func (d *Decision) ThenRefused(want *aggregate.Refusal) *History {
	d.given.t.Helper()
	if want == nil {
		d.fail("ThenRefused wants a refusal")
	}
	var no *aggregate.Refusal
	if !errors.As(d.err, &no) || *no != *want {
		d.fail("the command makes %s\nwant refusal %q (%s): %s", d.outcome(), want.Slug, want.Kind, want.Detail)
	}
	return d.given
}

// ThenUnchanged checks that the command has nothing to change.
func (d *Decision) ThenUnchanged() *History {
	d.given.t.Helper()
	if d.err != nil || d.event != nil {
		d.fail("the command makes %s\nwant nothing to change", d.outcome())
	}
	return d.given
}

// outcome is the decision in words.
func (d *Decision) outcome() string {
	var no *aggregate.Refusal
	switch {
	case errors.As(d.err, &no):
		return fmt.Sprintf("refusal %q (%s): %s", no.Slug, no.Kind, no.Detail)
	case d.err != nil:
		return fmt.Sprintf("an error, which parks the aggregate's commands: %v", d.err)
	case d.event == nil:
		return "nothing to change"
	default:
		return "event " + d.given.text(d.event)
	}
}

func (d *Decision) fail(format string, args ...any) {
	d.given.t.Helper()
	body, err := json.Marshal(d.command)
	if err != nil {
		body = []byte(err.Error())
	}
	d.given.t.Fatalf("%s\n%swhen\n\t%s %s\n", fmt.Sprintf(format, args...), d.given, d.command.Type(), body)
}
