package bank

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"example.com/bank/handlers/accounts"
	"example.com/bank/reactions/transferring"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction"
)

// send is a command that the reaction must have sent.
type send struct {
	reaction.Command
	stream string
}

// checkSends asks the reaction again, and checks that each of its commands has
// ended, once, as the domain decides; and that no record is of another command of
// the reaction.
func (f *fold) checkSends() (wrong []Violation) {
	wrong = f.answer()
	ends := map[eventlog.Cause][]*entry{}
	for _, e := range f.entries {
		if e.Origin == nil {
			continue
		}
		s, sent := f.sends[e.Origin.Cause]
		switch of := e.Origin.Reaction; {
		case of != transferring.Reaction.Name: // the machine's own: see checkClaims
			continue
		case !sent:
			wrong = append(wrong, violation("sent by nobody", "%s is of cause %s, which causes no such command", e, e.Origin.Cause))
			continue
		case s.stream != e.Stream:
			wrong = append(wrong, violation("sent to another stream", "%s is of cause %s, whose command is for %s", e, e.Origin.Cause, s.stream))
			continue
		}
		if e.waits() {
			continue
		}
		ends[e.Origin.Cause] = append(ends[e.Origin.Cause], e)
		if !s.Cancel {
			wrong = append(wrong, f.checkDecision(e, s.Command.Command)...)
		}
	}
	for _, cause := range slices.SortedFunc(maps.Keys(f.sends), eventlog.Cause.Compare) {
		s := f.sends[cause]
		switch n := len(ends[cause]); {
		case n == 0:
			wrong = append(wrong, violation("a reaction's command is lost", "%s for %s, of cause %s", s.Command.Command.Type(), s.stream, cause))
		case n > 1:
			wrong = append(wrong, violation("a reaction's command took effect twice", "%s of cause %s: %v", s.Command.Command.Type(), cause, ends[cause]))
		}
	}
	return wrong
}

// checkOrder checks that the commands of each cause stream came to each other
// stream in the order of their causes.
func (f *fold) checkOrder() (wrong []Violation) {
	type way struct{ reaction, from, to string }
	last, came := map[way]*entry{}, map[key]bool{}
	for _, e := range f.entries {
		k := key{e.Stream, e.CommandID}
		if e.Origin == nil || came[k] {
			continue
		}
		came[k] = true
		w := way{e.Origin.Reaction, e.Origin.Subject, e.Stream}
		if before := last[w]; before != nil && e.Origin.Cause.Compare(before.Origin.Cause) < 0 {
			wrong = append(wrong, violation("a reaction's commands out of order", "%s of cause %s is behind %s of cause %s, both of %s", e, e.Origin.Cause, before, before.Origin.Cause, e.Origin.Subject))
		}
		last[w] = e
	}
	return wrong
}

// answer fills sends: what the reaction answers to each record that counts. The end
// of a command may cause another command, so answer asks until nothing is new.
func (f *fold) answer() (wrong []Violation) {
	answered := map[*entry]bool{}
	for more := true; more; {
		more = false
		for _, e := range f.entries {
			if answered[e] {
				continue
			}
			record, ok := f.asSeen(e)
			if !ok {
				continue
			}
			answered[e], more = true, true
			commands, err := transferring.Reaction.Answer(f.registry, record)
			if err != nil {
				wrong = append(wrong, violation("the reaction failed", "%s: %v", e, err))
			}
			for i, c := range commands {
				at := eventlog.Cause{TopicID: f.TopicID, Partition: e.Partition, Offset: e.Offset, N: i + 1}
				f.sends[at] = send{c, c.Stream(f.registry)}
			}
		}
	}
	return wrong
}

// asSeen is a record as the reaction sees it. The result is false for a record that
// the reaction doesn't see, or whose command nobody is known to have sent yet.
func (f *fold) asSeen(e *entry) (reaction.Record, bool) {
	_, id := f.registry.OfStream(e.Stream)
	record := reaction.Record{Stream: e.Stream, AggregateID: id, Seq: e.Seq, Version: e.Version, Time: e.Time, Event: e.event}
	if e.event != nil {
		return record, transferring.Reaction.IsOf(e.Stream)
	}
	if e.Origin == nil || e.Origin.Reaction != transferring.Reaction.Name || e.waits() {
		return record, false
	}
	s, sent := f.sends[e.Origin.Cause]
	if !sent || s.Cancel {
		return record, false
	}
	record.Ended = &reaction.Ended{Command: s.Command.Command, Refusal: e.slug()}
	if c, err := pointerTo(f.registry, s.Command.Command); err == nil {
		record.Ended.Command = c
	}
	return record, true
}

// pointerTo is a command as the machine hands commands over: a pointer.
func pointerTo(registry *aggregate.Registry, c aggregate.AnyCommand) (aggregate.AnyCommand, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	read, _ := registry.NewCommand(c.Type())
	return read, json.Unmarshal(body, read)
}

// ofRouter are the router's own refusals in a run: a cancel, and a cancel that
// came too late.
var ofRouter = []string{"command-cancelled", "not-scheduled"}

// checkDecision decides a command again, and compares the record with which the
// command ended.
func (f *fold) checkDecision(e *entry, c aggregate.AnyCommand) []Violation {
	of := f.registry.OfCommand(c.Type())
	if slices.Contains(ofRouter, e.slug()) || e.slug() == accounts.ErrNumberTaken.Slug && c.Type() == "openAccount" {
		return nil // other streams and the clock decide these
	}
	command, err := pointerTo(f.registry, c)
	if err != nil {
		return []Violation{violation("command unreadable", "%s: %v", e, err)}
	}
	event, err := of.Decide(e.before, command)
	var no *aggregate.Refusal
	is := e.Type == eventlog.TypeCommandUnchanged
	switch {
	case errors.As(err, &no):
		is = e.slug() == no.Slug
	case err != nil:
		is = false
	case event != nil:
		body, err := of.EncodeEvent(event)
		is = err == nil && e.Type == event.Type() && bytes.Equal(body, e.Body)
	}
	if !is {
		return []Violation{violation("decided otherwise", "%s: the rules make %v, %v of %s %+v on %+v", e, event, err, c.Type(), c, e.before)}
	}
	return nil
}
