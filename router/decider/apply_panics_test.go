package decider

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// fuse is the state of an aggregate whose event panics when a wet event is
// applied.
type fuse struct {
	Lit bool `json:"lit"`
}

// lightFuse asks to light a fuse.
type lightFuse struct {
	ID string `json:"id"`
}

// fuseLit says that a fuse burns.
type fuseLit struct {
	ID string `json:"id"`
}

var fuseIsWet bool

func (lightFuse) Type() string          { return "lightFuse" }
func (c lightFuse) AggregateID() string { return c.ID }

func (c lightFuse) Decide(fuse) (aggregate.Event[fuse], error) { return fuseLit(c), nil }

func (fuseLit) Type() string          { return "fuseLit" }
func (e fuseLit) AggregateID() string { return e.ID }

func (fuseLit) Apply(fuse) fuse {
	if fuseIsWet {
		panic("the fuse is wet")
	}
	return fuse{Lit: true}
}

// A command whose event can't be applied is parked, and writes no event. A
// binary that can't apply an event of the log parks later commands of the stream.
func TestApplyPanics(t *testing.T) {
	registry, err := aggregate.NewRegistry(aggregate.Of(aggregate.Definition[fuse]{
		Name: "fuse", Plural: "fuses",
		Commands: []func() aggregate.Command[fuse]{func() aggregate.Command[fuse] { return new(lightFuse) }},
		Events:   []func() aggregate.Event[fuse]{func() aggregate.Event[fuse] { return new(fuseLit) }},
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { fuseIsWet = false })
	light := func(s *stream, id string, offset int64) eventlog.Record {
		envelope := &eventlog.Envelope{Offset: offset, ID: id, Type: "lightFuse", Stream: "fuse/1", Hash: id, Body: []byte(`{"id":"1"}`)}
		return decide(registry, s, envelope, lightFuse{"1"}, eventlog.CommandPosition{TopicID: "topic", Offset: offset})
	}

	fuseIsWet = true
	if r := light(new(stream), "a", 0); r.Type != eventlog.TypeCommandParked || r.Version != 0 || !strings.Contains(string(r.Body), "the decision panicked: the fuse is wet") {
		t.Errorf("%s, version %d: %s", r.Type, r.Version, r.Body)
	}

	fuseIsWet = false
	event := light(new(stream), "a", 0)
	if event.Type != "fuseLit" {
		t.Fatalf("%s: %s", event.Type, event.Body)
	}
	fuseIsWet = true
	s := new(stream)
	if !s.fold(registry, &event, 10) || s.unreadable == nil || s.head.Version != 1 {
		t.Fatalf("unreadable: %v, version %d", s.unreadable, s.head.Version)
	}
	if r := light(s, "b", 1); r.Type != eventlog.TypeCommandParked || !strings.Contains(string(r.Body), "applying fuseLit panicked: the fuse is wet") {
		t.Errorf("%s: %s", r.Type, r.Body)
	}
}
