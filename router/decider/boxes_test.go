package decider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/unique"
)

// box is the state of a test: keys that no two boxes may have.
type box struct {
	Keys []string `json:"keys,omitempty"`
}

// setKeys gives a box other keys.
type setKeys struct {
	ID     string   `json:"id"`
	Keys   []string `json:"keys"`
	Touchy bool     `json:"touchy,omitempty"` // the decision panics
}

var (
	errKeyTaken  = &aggregate.Refusal{Slug: "key-taken", Detail: "another box has the key"}
	errTooMany   = &aggregate.Refusal{Slug: "too-many", Detail: "too many keys"}
	touchyPanics atomic.Bool
)

func (setKeys) Type() string          { return "setKeys" }
func (c setKeys) AggregateID() string { return c.ID }
func (c setKeys) Decide(b box) (aggregate.Event[box], error) {
	switch {
	case c.Touchy && touchyPanics.Load():
		panic("touchy")
	case slices.Equal(c.Keys, b.Keys):
		return nil, nil
	case len(c.Keys) > 9:
		return nil, errTooMany
	}
	return keysSet{c.ID, c.Keys}, nil
}

type keysSet struct {
	ID   string   `json:"id"`
	Keys []string `json:"keys"`
}

func (keysSet) Type() string          { return "keysSet" }
func (e keysSet) AggregateID() string { return e.ID }
func (e keysSet) Apply(box) box       { return box{Keys: slices.Clone(e.Keys)} }

// boxDefinition compares keys without case.
func boxDefinition() aggregate.Definition[box] {
	return aggregate.Definition[box]{
		Name: "box", Plural: "boxes", Refusals: []*aggregate.Refusal{errKeyTaken, errTooMany},
		Commands: []func() aggregate.Command[box]{func() aggregate.Command[box] { return new(setKeys) }},
		Events:   []func() aggregate.Event[box]{func() aggregate.Event[box] { return new(keysSet) }},
		Claims: func(b box) (claims []aggregate.Claim) {
			for _, key := range b.Keys {
				claims = append(claims, aggregate.Claim{Name: "key", Value: strings.ToLower(key), Refusal: errKeyTaken})
			}
			return claims
		},
	}
}

// withBoxes lets a test have boxes.
func withBoxes(t *testing.T) { withBoxesOf(t, boxDefinition()) }

func withBoxesOf(t *testing.T, definition aggregate.Definition[box]) {
	t.Helper()
	team, err := aggregate.NewRegistry(aggregate.Of(definition))
	if err != nil {
		t.Fatal(err)
	}
	both, err := team.With(unique.Aggregate)
	if err != nil {
		t.Fatal(err)
	}
	before := registry
	registry = both
	t.Cleanup(func() { registry = before })
}

// boxes is a command service with the machine's own reaction.
type boxes struct {
	*service
	log *fakeLog

	taking sync.Mutex
	next   int64 // offset of topic commands
}

func serveBoxes(t *testing.T) *boxes {
	t.Helper()
	return serveBoxesWith(t, nil)
}

// serveBoxesWith has another reaction, which follows the log from its start.
func serveBoxesWith(t *testing.T, react func(map[string]eventlog.Head, *eventlog.Record)) *boxes {
	t.Helper()
	withBoxes(t)
	log := newFakeLog()
	b := &boxes{service: serve(t, log), log: log}
	if react == nil {
		react = b.react
	}
	ctx, cancel := context.WithCancel(t.Context())
	heads := map[string]eventlog.Head{}
	var following sync.WaitGroup
	following.Go(func() {
		_ = b.log.Follow(ctx, 0, 0, func(records []eventlog.Record) error {
			for i := range records {
				react(heads, &records[i])
			}
			return nil
		})
	})
	t.Cleanup(func() {
		cancel()
		following.Wait()
	})
	return b
}

func (b *boxes) react(heads map[string]eventlog.Head, r *eventlog.Record) {
	head, accepted := heads[r.Stream].Accept(r)
	if heads[r.Stream] = head; !accepted {
		return
	}
	commands, err := unique.React(r)
	if err != nil {
		b.t.Error(err)
	}
	for n, c := range commands {
		origin := &eventlog.Origin{
			Reaction: unique.Name, Cause: eventlog.Cause{TopicID: "e", Offset: r.Offset, N: n + 1}, Subject: r.Stream, Depth: 1,
		}
		b.put(eventlog.Envelope{ID: origin.CommandID(), Type: c.Type(), Stream: c.Stream, Origin: origin, Body: EncodeBody(c.AnyCommand)})
	}
}

// put puts commands into topic commands, with no others in between.
func (b *boxes) put(commands ...eventlog.Envelope) {
	b.taking.Lock()
	defer b.taking.Unlock()
	for _, c := range commands {
		b.take(c)
	}
}

func (b *boxes) take(c eventlog.Envelope) {
	c.Offset, c.Time, c.Hash = b.next, time.UnixMilli(b.next).UTC(), c.Type+string(c.Body)
	b.next++
	command, err := readCommand(registry, &c)
	if err != nil {
		b.t.Errorf("%+v: %v", c, err)
		return
	}
	b.processor.take(b.assigned, c, command)
}

// set sends a setKeys.
func (b *boxes) set(id, box string, keys ...string) {
	b.send(id, box, keysFor(box, keys...))
}

func keysFor(box string, keys ...string) setKeys {
	return setKeys{ID: box, Keys: append([]string{}, keys...)}
}

func (b *boxes) send(id, box string, command setKeys) { b.put(sent(id, box, command)) }

// sent is a setKeys in topic commands.
func sent(id, box string, command setKeys) eventlog.Envelope {
	return eventlog.Envelope{ID: id, Type: "setKeys", Stream: "box/" + box, Body: EncodeBody(command)}
}

// end waits for the end of a command.
func (b *boxes) end(box, id string) (o Outcome) {
	b.t.Helper()
	watch := b.states.Watch("box/"+box, id)
	defer watch.Close()
	timeout := time.NewTimer(time.Minute)
	defer timeout.Stop()
	for {
		select {
		case o = <-watch.C:
			if o.Kind != Queued {
				return o
			}
		case <-timeout.C:
			b.t.Fatalf("command %s of box %s has no end:\n%s", id, box, b.story("box/"+box))
		}
	}
}

// story is the records of a stream, each with its claims.
func (b *boxes) story(stream string) string {
	var lines []string
	for _, r := range b.log.accepted()[stream] {
		line := r.Type + " " + r.CommandID
		if r.Origin != nil || strings.HasPrefix(r.CommandID, "@") {
			line = r.Type
		}
		if len(r.Asks) > 0 {
			line += " asks " + keysOf(r.Asks)
		}
		if len(r.Releases) > 0 {
			line += " releases " + keysOf(r.Releases)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

func keyStream(key string) string { return aggregate.ClaimStream("key", key) }

func keysOf(streams []string) string {
	var keys []string
	for _, key := range []string{"a", "b", "c"} {
		if slices.Contains(streams, keyStream(key)) {
			keys = append(keys, key)
		}
	}
	if len(keys) < len(streams) {
		return fmt.Sprint(streams)
	}
	return strings.Join(keys, "+")
}

// owner waits until no command is under way, and tells who has a key.
func (b *boxes) owner(key string) string {
	b.t.Helper()
	records := awaitQuiet(b)
	owner := ""
	for _, r := range records[keyStream(key)] {
		var body struct{ Stream string }
		if err := json.Unmarshal(r.Body, &body); err != nil {
			b.t.Fatal(err)
		}
		switch r.Type {
		case "valueTaken":
			owner = strings.TrimPrefix(body.Stream, "box/")
		case "valueReleased":
			owner = ""
		}
	}
	return owner
}

// awaitQuiet waits until the reaction has sent all that follows from the log.
func awaitQuiet(b *boxes) map[string][]eventlog.Record {
	b.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		follow, here := 0, 0
		records := b.log.accepted()
		for _, of := range records {
			for i := range of {
				commands, _ := unique.React(&of[i])
				follow += len(commands)
				if strings.HasPrefix(of[i].CommandID, "@") {
					here++
				}
			}
		}
		if follow == here && b.states.Stats().Folded == int64(len(b.log.records)) {
			return records
		}
	}
	b.t.Fatal("the reaction never ends")
	return nil
}

func (b *boxes) wants(stream, story string) {
	b.t.Helper()
	if got := b.story(stream); got != story {
		b.t.Errorf("stream %s:\ngot  %s\nwant %s", stream, got, story)
	}
}
