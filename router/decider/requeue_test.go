package decider

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// brokenRule is a command whose decision panics until the rule is mended.
type brokenRule struct {
	ID   users.ID   `json:"id"`
	Name users.Name `json:"name"`
}

var ruleIsMended bool

func (brokenRule) Type() string { return "breakUser" }

func (c brokenRule) AggregateID() string { return string(c.ID) }

func (c brokenRule) Decide(u users.User) (aggregate.Event[users.User], error) {
	if !ruleIsMended {
		panic("broken rule")
	}
	return users.RenameUser(c).Decide(u)
}

func withBrokenRule(t *testing.T) (mended *bool) {
	t.Helper()
	ruleIsMended = false
	withCommand(t, func() aggregate.Command[users.User] { return new(brokenRule) })
	return &ruleIsMended
}

func typesOf(records []eventlog.Record) (out []string) {
	for _, r := range records {
		out = append(out, r.Type+" "+r.CommandID)
	}
	return out
}

func parkOne(t *testing.T, log *fakeLog, tp *topic) {
	t.Helper()
	s := serve(t, log)
	s.take(
		tp.command("createUser", "u", "Ann", "1"),
		tp.command("breakUser", "u", "Bea", "2"),
		tp.command("renameUser", "u", "Cat", "3"),
		tp.command("createUser", "other", "Oz", "o1"),
		tp.command("renameUser", "u", "Dan", "4"),
	)
	s.drain()
	s.stop()
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	if got := fmt.Sprint(typesOf(log.accepted()["user/other"])); got != "[userCreated o1]" {
		t.Fatalf("the other user: %s", got)
	}
}

// awaitRecords waits until a stream has so many accepted records.
func awaitRecords(t *testing.T, log *fakeLog, stream string, n int) []eventlog.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		log.mu.Lock()
		defer log.mu.Unlock()
		log.grown.Broadcast()
	})()
	log.mu.Lock()
	defer log.mu.Unlock()
	for {
		got := log.gated()[stream]
		if len(got) >= n {
			return got
		}
		if ctx.Err() != nil {
			t.Fatalf("stream %s has %v after %d appends", stream, typesOf(got), len(log.records))
		}
		log.grown.Wait()
	}
}

func TestParkedCommandsAreRequeuedInOrder(t *testing.T) {
	mended := withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)

	// Not mended yet: it parks again, and keeps its place.
	s := serve(t, log)
	s.take(tp.command("requeueParked", "u", "", "r1"))
	awaitRecords(t, log, "user/u", 6)
	s.drain()
	s.stop()

	*mended = true
	s = serve(t, log)
	last := s.states.Watch("user/u", "5")
	defer last.Close()
	s.take(tp.command("requeueParked", "u", "", "r2"), tp.command("renameUser", "u", "Eve", "5"))
	if o := <-last.C; o.Kind != Succeeded {
		t.Errorf("the command behind those that go on: %+v", o)
	}
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4 parkedRequeued r1 commandParked 2 " +
		"parkedRequeued r2 userRenamed 2 userRenamed 3 userRenamed 4 userRenamed 5]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	s.drain()
	if name := nameOf(s.states.processors[0], "user/u"); name != "Eve" {
		t.Errorf("the user is called %s", name)
	}
}

func TestDroppedCommandLetsTheRestThrough(t *testing.T) {
	withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)
	s := serve(t, log)
	drop := tp.command("dropParked", "u", "", "d")
	drop.Body = []byte(`{"stream":"user/u","commandId":"2"}`)
	late := tp.command("dropParked", "u", "", "d2")
	late.Body = []byte(`{"stream":"user/u","commandId":"3"}`)
	s.take(drop, late)
	s.drain()
	want := "[userCreated 1 commandParked 2 commandQueued 3 commandQueued 4 parkedDropped d commandRefused 2 " +
		"userRenamed 3 userRenamed 4 commandRefused d2]"
	if got := fmt.Sprint(typesOf(log.accepted()["user/u"])); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if o, _ := s.states.processors[0].stream("user/u").outcome("2"); o.Refusal == nil || o.Refusal.Slug != "command-dropped" {
		t.Errorf("the dropped command's outcome is %+v", o)
	}
}
