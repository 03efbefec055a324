package decider

import (
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

func TestWatchTellsOfOutcomes(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	w := s.states.Watch("user/u", "1")
	defer w.Close()
	s.take(tp.command("createUser", "u", "Ann", "1"))
	if o := <-w.C; o.Kind != Succeeded || o.Version != 1 {
		t.Errorf("told %+v", o)
	}
	known := s.states.Watch("user/u", "1")
	defer known.Close()
	if o := <-known.C; o.Version != 1 {
		t.Errorf("told %+v of what is known", o)
	}
}

// A follower is told of the state that is, and of the state after each event.
func TestFollow(t *testing.T) {
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("createUser", "u", "Ann", "1"))
	if _, err := s.states.Await(t.Context(), "user/u", "1"); err != nil {
		t.Fatal(err)
	}
	told := make(chan StreamState, 10)
	stop := s.states.Follow("user/u", func(state StreamState) { told <- state })
	s.take(tp.command("createUser", "u", "Bob", "2")) // refused
	s.take(tp.command("renameUser", "u", "Eve", "3"))
	if _, err := s.states.Await(t.Context(), "user/u", "3"); err != nil {
		t.Fatal(err)
	}
	stop()
	s.take(tp.command("renameUser", "u", "Joe", "4"))
	if _, err := s.states.Await(t.Context(), "user/u", "4"); err != nil {
		t.Fatal(err)
	}
	close(told)
	var names []string
	for state := range told {
		user, ok := state.State.(users.User)
		names = append(names, fmt.Sprint(state.Version, " ", user.Name, ok, state.Unreadable))
	}
	if want := []string{"1 Anntrue <nil>", "2 Evetrue <nil>"}; !slices.Equal(names, want) {
		t.Errorf("told %q, want %q", names, want)
	}
	never := make(chan StreamState, 1)
	s.states.Follow("user/new", func(state StreamState) { never <- state })()
	if state := <-never; state != (StreamState{}) {
		t.Errorf("told %+v of a new stream", state)
	}
}

// Thousands of waits cost no goroutine and no timer: the fold tells the
// outcomes.
func TestThousandsWait(t *testing.T) {
	const n = 5000
	for _, test := range []struct {
		name     string
		commands int
	}{{"for a command each", n}, {"all for the same one", 1}} {
		t.Run(test.name, func(t *testing.T) {
			var tp topic
			var records []eventlog.Record
			for i := range test.commands {
				c := tp.command("createUser", fmt.Sprint("u", i), "Ann", fmt.Sprint("c", i))
				records = append(records, decide(registry, new(stream), &c, &users.CreateUser{ID: users.ID(idOf(c.Stream)), Name: "Ann"}, eventlog.CommandPosition{}))
				records[i].Offset = int64(i)
			}
			quiet := slog.New(slog.DiscardHandler)
			states := NewStateStore(newFakeLog(), registry, 1, 128, quiet)
			p := states.processors[0]
			goroutines := runtime.NumGoroutine()
			var watches []*Watch
			for i := range n {
				r := records[i%test.commands]
				watches = append(watches, states.Watch(r.Stream, r.CommandID))
			}
			if len(p.waiting) != test.commands {
				t.Errorf("%d commands are waited for, want %d", len(p.waiting), test.commands)
			}
			noError(p.fold(records))
			if got := runtime.NumGoroutine(); got > goroutines {
				t.Errorf("%d goroutines more", got-goroutines)
			}
			for i, w := range watches {
				select {
				case o := <-w.C:
					if o.CommandID != records[i%test.commands].CommandID || o.Kind != Succeeded {
						t.Fatalf("waiter %d was told %+v", i, o)
					}
				default:
					t.Fatalf("waiter %d was not told", i)
				}
				if !w.Close() {
					t.Fatalf("waiter %d did not wait", i)
				}
			}
			if len(p.waiting) != 0 {
				t.Errorf("%d commands are still waited for", len(p.waiting))
			}
		})
	}
}
