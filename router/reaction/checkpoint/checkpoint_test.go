package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/strict"
)

// history decides commands one after the other, each as read from its payload,
// and applies their events, each as read from its body.
func history(t *testing.T, commands ...aggregate.AnyCommand) (State, error) {
	t.Helper()
	var state any = State{}
	var last error
	for _, c := range commands {
		body, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		read := newCommand(c.Type())
		if err := strict.ReadCommand(Aggregate, body, read); err != nil {
			t.Fatal(err)
		}
		event, err := Aggregate.Decide(state, read)
		if last = err; event == nil {
			continue
		}
		if body, err = Aggregate.EncodeEvent(event); err != nil {
			t.Fatal(err)
		}
		if event, err = Aggregate.DecodeEvent(event.Type(), body); err != nil {
			t.Fatal(err)
		}
		state = Aggregate.Apply(state, event)
		if err := Aggregate.SurvivesEncoding(state); err != nil {
			t.Fatal(err)
		}
	}
	return state.(State), last //nolint:errcheck // a State
}

func newCommand(commandType string) aggregate.AnyCommand {
	for _, create := range Aggregate.Commands() {
		if c := create(); c.Type() == commandType {
			return c
		}
	}
	return nil
}

const id = "r/0"

func TestRules(t *testing.T) {
	start := StartReaction{ID: id, TopicID: "t", Next: 5}
	park := func(stream string, offset int64) ParkCause {
		return ParkCause{ID: id, Stream: stream, Offset: offset, Reason: "why"}
	}
	retry := func(stream string) RetryCause { return RetryCause{ID: id, Stream: stream} }
	skip := func(offset int64) SkipCause { return SkipCause{ID: id, Stream: "a/1", Offset: offset} }
	progress := func(next int64, going map[string]int64) NoteProgress {
		return NoteProgress{ID: id, Next: next, Going: going}
	}
	at := func(next int64, open map[string]Open) State { return State{true, "t", next, open} }
	parked := Open{Parked: true, From: 7, Reason: "why"}
	type one = map[string]Open
	type going = map[string]int64
	for name, test := range map[string]struct {
		commands []aggregate.AnyCommand
		want     State
		refusal  error // of the last command
	}{
		"started":            {[]aggregate.AnyCommand{start}, at(5, nil), nil},
		"started twice":      {[]aggregate.AnyCommand{start, StartReaction{ID: id, TopicID: "u", Next: 9}}, at(5, nil), nil},
		"progress":           {[]aggregate.AnyCommand{start, progress(9, nil)}, at(9, nil), nil},
		"progress backwards": {[]aggregate.AnyCommand{start, progress(4, nil)}, at(5, nil), nil},
		"parked":             {[]aggregate.AnyCommand{start, park("a/1", 7)}, at(5, one{"a/1": parked}), nil},
		"answered before":    {[]aggregate.AnyCommand{start, park("a/1", 4)}, at(5, nil), nil},
		"parked already":     {[]aggregate.AnyCommand{start, park("a/1", 7), park("a/1", 8)}, at(5, one{"a/1": parked}), nil},
		"stays open":         {[]aggregate.AnyCommand{start, park("a/1", 7), progress(9, nil)}, at(9, one{"a/1": parked}), nil},
		"retried":            {[]aggregate.AnyCommand{start, park("a/1", 7), retry("a/1")}, at(5, one{"a/1": {From: 7}}), nil},
		"skipped":            {[]aggregate.AnyCommand{start, park("a/1", 7), skip(7)}, at(5, one{"a/1": {From: 8}}), nil},
		"parked again":       {[]aggregate.AnyCommand{start, park("a/1", 6), retry("a/1"), park("a/1", 7)}, at(5, one{"a/1": parked}), nil},
		"answered meanwhile": {[]aggregate.AnyCommand{start, park("a/1", 7), retry("a/1"), progress(9, going{"a/1": 8}), park("a/1", 7)}, at(9, one{"a/1": {From: 8}}), nil},
		"parked before":      {[]aggregate.AnyCommand{start, park("a/1", 9), park("a/1", 7), park("a/1", 8)}, at(5, one{"a/1": parked}), nil},
		"retried, before":    {[]aggregate.AnyCommand{start, park("a/1", 9), retry("a/1"), park("a/1", 7)}, at(5, one{"a/1": parked}), nil},
		"noted already":      {[]aggregate.AnyCommand{start, progress(7, nil), park("a/1", 7), park("a/1", 6)}, at(7, one{"a/1": parked}), nil},
		"retried, behind":    {[]aggregate.AnyCommand{start, park("a/1", 7), retry("a/1"), progress(9, going{"a/1": 8})}, at(9, one{"a/1": {From: 8}}), nil},
		"closed":             {[]aggregate.AnyCommand{start, park("a/1", 7), retry("a/1"), progress(9, going{"a/1": 9})}, at(9, nil), nil},
		"parked don't go":    {[]aggregate.AnyCommand{start, park("a/1", 7), progress(9, going{"a/1": 9})}, at(9, one{"a/1": parked}), nil},
		"not parked":         {[]aggregate.AnyCommand{start, retry("a/1")}, at(5, nil), ErrNotParked},
		"not parked now":     {[]aggregate.AnyCommand{start, park("a/1", 7), retry("a/1"), retry("a/1")}, at(5, one{"a/1": {From: 7}}), ErrNotParked},
		"skip of another":    {[]aggregate.AnyCommand{start, park("a/1", 7), skip(6)}, at(5, one{"a/1": parked}), ErrNotParked},
	} {
		got, err := history(t, test.commands...)
		if !reflect.DeepEqual(got, test.want) || !errors.Is(err, test.refusal) {
			t.Errorf("%s: %+v, %v\nwant %+v, %v", name, got, err, test.want, test.refusal)
		}
	}
}

// At most so many streams are open that a command can name all.
func TestFull(t *testing.T) {
	for _, test := range []struct {
		name string // of a stream
		fit  int
	}{{"a/%d", 64}, {"a/" + strings.Repeat("é", 120) + "%06d", 64}, {"a/" + strings.Repeat("𝄞", 122) + "%06d", 32}} {
		commands := []aggregate.AnyCommand{StartReaction{ID: id}}
		for i := range 70 {
			commands = append(commands, ParkCause{ID: id, Stream: fmt.Sprintf(test.name, i), Offset: 1})
		}
		s, err := history(t, commands...)
		if len(s.Open) != test.fit || !errors.Is(err, ErrFull) {
			t.Errorf("%s: %d are open, want %d (%v)", test.name, len(s.Open), test.fit, err)
		}
		if !s.HasRoom(s.Names()[0]) {
			t.Error("there is no room for a stream that is open")
		}
		o := eventlog.Origin{Reaction: "r", Subject: "a/1", Depth: 1, Open: s.Names()}
		if err := o.Check(); err != nil {
			t.Error(err)
		}
	}
}

// The bodies stay as they are for ever.
func TestBodies(t *testing.T) {
	for body, message := range map[string]interface{ Type() string }{
		`startReaction {"id":"r/0","topicId":"t","next":5}`:                              StartReaction{id, "t", 5},
		`reactionStarted {"id":"r/0","topicId":"t","next":5}`:                            ReactionStarted{id, "t", 5},
		`parkCause {"id":"r/0","stream":"a/1","offset":7,"reason":"why","stack":"at"}`:   ParkCause{id, "a/1", 7, "why", "at"},
		`causeParked {"id":"r/0","stream":"a/1","offset":7,"reason":"why","stack":"at"}`: CauseParked{id, "a/1", 7, "why", "at"},
		`retryCause {"id":"r/0","stream":"a/1"}`:                                         RetryCause{id, "a/1"},
		`causeRetried {"id":"r/0","stream":"a/1"}`:                                       CauseRetried{id, "a/1"},
		`skipCause {"id":"r/0","stream":"a/1","offset":7}`:                               SkipCause{id, "a/1", 7},
		`causeSkipped {"id":"r/0","stream":"a/1","offset":7}`:                            CauseSkipped{id, "a/1", 7},
		`noteProgress {"id":"r/0","next":5}`:                                             NoteProgress{id, 5, nil},
		`noteProgress {"id":"r/0","next":5,"going":{"a/1":7}}`:                           NoteProgress{id, 5, map[string]int64{"a/1": 7}},
		`reactionProgressed {"id":"r/0","next":5,"going":{"a/1":7}}`:                     ReactionProgressed{id, 5, map[string]int64{"a/1": 7}},
	} {
		got, err := json.Marshal(message)
		if text := message.Type() + " " + string(got); err != nil || text != body {
			t.Errorf("%s, want %s (%v)", text, body, err)
		}
	}
}

func TestParse(t *testing.T) {
	for stream, want := range map[string]string{
		"reaction/transfers/3": "transfers 3", "reaction/a/0": "a 0", "reaction/a/03": "", "reaction/a/-1": "", "reaction/a": "", "reaction//1": "",
		"reaction/a/": "", "reaction": "", "user/a/1": "", "reaction/a/1/2": "", "reaction/a/99999999999": "",
	} {
		reaction, partition, ok := Parse(stream)
		if got := fmt.Sprint(reaction, " ", partition); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %s, %v, want %s", stream, got, ok, want)
		}
	}
	registry, err := aggregate.NewRegistry(aggregate.Of(aggregate.Definition[State]{
		Name: "team", Plural: "teams", Commands: []func() aggregate.Command[State]{func() aggregate.Command[State] { return new(teamCommand) }},
	}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = registry.With(Aggregate); err != nil {
		t.Error(err)
	}
}

type teamCommand struct {
	ID string `json:"id"`
}

func (teamCommand) Type() string                                 { return "team" }
func (c teamCommand) AggregateID() string                        { return c.ID }
func (teamCommand) Decide(State) (aggregate.Event[State], error) { return nil, nil }
