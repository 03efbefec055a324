package reactiontest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/reaction"
)

// asks is how often a reaction is asked: maps, for one, have a random order.
const asks = 10

// Time is the time of all records of this package, 2026-01-02T12:00:00Z.
var Time = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// Tester asks a reaction.
type Tester struct {
	t        testing.TB
	of       *reaction.Reaction
	registry *aggregate.Registry
}

// Of is a tester of a reaction in a service with these aggregates.
func Of(t testing.TB, of *reaction.Reaction, aggregates ...*aggregate.Type) *Tester {
	t.Helper()
	registry, err := aggregate.NewRegistry(aggregates...)
	if err == nil {
		err = reaction.Check([]*reaction.Reaction{of}, registry)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &Tester{t, of, registry}
}

// Given hands an event to the reaction, the first of its stream. The event is a
// struct or a pointer to a struct.
func (r *Tester) Given(event aggregate.AnyEvent) *Answer {
	r.t.Helper()
	return r.GivenRecord(reaction.Record{Seq: 1, Version: 1, Time: Time, Event: event})
}

// GivenRefused hands a refused command to the reaction, as the reaction has sent
// the command.
func (r *Tester) GivenRefused(command aggregate.AnyCommand, no *aggregate.Refusal) *Answer {
	r.t.Helper()
	return r.GivenRecord(reaction.Record{Seq: 1, Time: Time, Ended: &reaction.Ended{Command: command, Refusal: no.Slug, Detail: no.Detail}})
}

// GivenUnchanged hands a command that had nothing to change to the reaction.
func (r *Tester) GivenUnchanged(command aggregate.AnyCommand) *Answer {
	r.t.Helper()
	return r.GivenRecord(reaction.Record{Seq: 1, Time: Time, Ended: &reaction.Ended{Command: command}})
}

// GivenRecord hands a record to the reaction. The stream and the aggregate's id
// follow from the event or the command.
func (r *Tester) GivenRecord(record reaction.Record) *Answer {
	r.t.Helper()
	if record.Event != nil {
		t := r.ofEvent(record.Event)
		record.AggregateID = record.Event.AggregateID()
		record.Stream = t.Stream(record.AggregateID)
		if !r.of.IsOf(record.Stream) {
			r.t.Fatalf("reaction %s is not of aggregate %s", r.of.Name, t.Name())
		}
	} else {
		t := r.ofCommand(record.Ended.Command)
		record.AggregateID = record.Ended.Command.AggregateID()
		record.Stream = t.Stream(record.AggregateID)
	}
	a := &Answer{of: r, given: record}
	a.commands, a.err = r.ask(record)
	for range asks {
		commands, err := r.ask(record)
		if first, again := a.outcome(), (&Answer{of: r, commands: commands, err: err}).outcome(); first != again {
			r.t.Fatalf("%s\ngiven\n\t%s\n", "the reaction, asked twice, answers "+first+", and then "+again, r.text(record))
		}
	}
	return a
}

// ask asks the reaction about a copy of a record, as read from the log.
func (r *Tester) ask(record reaction.Record) ([]reaction.Command, error) {
	r.t.Helper()
	if record.Event != nil {
		t := r.ofEvent(record.Event)
		body, err := t.EncodeEvent(record.Event)
		if err != nil {
			r.t.Fatal(err)
		}
		event, err := t.DecodeEvent(record.Event.Type(), body)
		if err != nil {
			r.t.Fatalf("event %s can't be read: %v", body, err)
		}
		if !same(event, record.Event) {
			r.t.Fatalf("event %s is read as another event:\n\t%+v\n\t%+v", body, value(record.Event), value(event))
		}
		record.Event = event
	} else {
		ended := *record.Ended
		ended.Command = r.read(ended.Command)
		record.Ended = &ended
	}
	before := r.text(record)
	commands, err := r.of.Answer(r.registry, record)
	if after := r.text(record); after != before {
		r.t.Fatalf("React changes the record from\n\t%s\nto\n\t%s", before, after)
	}
	for i := range commands {
		commands[i].Command = r.read(commands[i].Command)
	}
	return commands, err
}

// read is a command as read from its payload.
func (r *Tester) read(c aggregate.AnyCommand) aggregate.AnyCommand {
	r.t.Helper()
	r.ofCommand(c)
	body := encode(r.t, c)
	read, _ := r.registry.NewCommand(c.Type())
	if err := json.Unmarshal(body, read); err != nil {
		r.t.Fatalf("command %s %s can't be read: %v", c.Type(), body, err)
	}
	if !same(c, read) {
		r.t.Fatalf("command %s is written as %s, and read as another command:\n\t%+v\n\t%+v", c.Type(), body, value(c), value(read))
	}
	return read
}

func (r *Tester) ofCommand(c aggregate.AnyCommand) *aggregate.Type {
	r.t.Helper()
	if c == nil || r.registry.OfCommand(c.Type()) == nil {
		r.t.Fatalf("no aggregate has the command %T", c)
	}
	return r.registry.OfCommand(c.Type())
}

func (r *Tester) ofEvent(e aggregate.AnyEvent) *aggregate.Type {
	r.t.Helper()
	for _, t := range r.registry.Types() {
		if t.NewEvent(e.Type()) != nil {
			return t
		}
	}
	r.t.Fatalf("no aggregate has the event %T", e)
	return nil
}

// text is a record in words.
func (r *Tester) text(record reaction.Record) string {
	if record.Event != nil {
		return fmt.Sprintf("event %s %s", record.Event.Type(), encode(r.t, record.Event))
	}
	ended := "unchanged"
	if record.Ended.Refusal != "" {
		ended = "refused as " + record.Ended.Refusal
	}
	return fmt.Sprintf("command %s %s, %s", record.Ended.Command.Type(), encode(r.t, record.Ended.Command), ended)
}

// Answer is the answer of a reaction. Then, ThenNothing or ThenParked checks the
// answer.
type Answer struct {
	of       *Tester
	given    reaction.Record
	commands []reaction.Command
	err      error
}

// Then checks that the reaction sends these commands now, in this order.
func (a *Answer) Then(want ...aggregate.AnyCommand) {
	a.of.t.Helper()
	commands := make([]reaction.Command, len(want))
	for i, c := range want {
		commands[i] = reaction.Send(c)
	}
	a.ThenCommands(commands...)
}

// ThenCommands checks that the reaction sends these commands, in this order,
// with their times, versions and cancels.
func (a *Answer) ThenCommands(want ...reaction.Command) {
	a.of.t.Helper()
	wanted := &Answer{of: a.of, commands: want}
	if got, want := a.outcome(), wanted.outcome(); got != want {
		a.fail(want)
	}
}

// ThenNothing checks that the reaction sends nothing.
func (a *Answer) ThenNothing() {
	a.of.t.Helper()
	a.ThenCommands()
}

// ThenParked checks that the record parks its stream in the reaction, with an
// error that contains this text.
func (a *Answer) ThenParked(text string) {
	a.of.t.Helper()
	if a.err == nil || !strings.Contains(a.err.Error(), text) {
		a.fail(fmt.Sprintf("parked, with an error that contains %q", text))
	}
}

func (a *Answer) fail(want string) {
	a.of.t.Helper()
	a.of.t.Fatalf("given\n\t%s\nreaction %s answers %s\nwant %s", a.of.text(a.given), a.of.of.Name, a.outcome(), want)
}

// outcome is the answer in words.
func (a *Answer) outcome() string {
	if a.err != nil {
		return fmt.Sprintf("an error, which parks the stream: %v", a.err)
	}
	if len(a.commands) == 0 {
		return "nothing"
	}
	var text strings.Builder
	for _, c := range a.commands {
		text.WriteString("\n\t")
		if c.Cancel {
			fmt.Fprintf(&text, "cancel %s of %s", c.Command.Type(), c.Command.AggregateID())
			continue
		}
		fmt.Fprintf(&text, "%s %s", c.Command.Type(), encode(a.of.t, c.Command))
		if c.ExpectedVersion != nil {
			fmt.Fprintf(&text, " at version %d", *c.ExpectedVersion)
		}
		if !c.NotBefore.IsZero() {
			fmt.Fprintf(&text, " not before %s", c.NotBefore.UTC().Format(time.RFC3339Nano))
		}
	}
	return text.String()
}

func encode(t testing.TB, message any) []byte {
	t.Helper()
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(message); err != nil {
		t.Fatalf("%T can't be written: %v", message, err)
	}
	return bytes.TrimSpace(out.Bytes())
}

// same compares two messages, each of them a struct or a pointer to a struct.
func same(a, b any) bool { return reflect.DeepEqual(value(a), value(b)) }

func value(message any) any {
	if v := reflect.ValueOf(message); v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface()
	}
	return message
}
