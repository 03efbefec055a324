package runner

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// beginOnly begins a reaction, in a process that has no partition.
func (w *world) beginOnly(ctx context.Context, fromBeginning bool, send func(*eventlog.Envelope, func(eventlog.CommandPlace, error))) *Runner {
	r := &Runner{
		Reactions: []Reaction{{Name: "r", FromBeginning: fromBeginning, React: w.react}}, States: w, Log: log{w}, Send: send,
		TopicID: "t", Partitions: 1, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	}
	if r.Ready() == nil {
		w.t.Error("ready before the beginning")
	}
	<-r.Begin(ctx)
	if err := r.Ready(); err != nil {
		w.t.Error(err)
	}
	return r
}

// A new reaction answers what comes once a process is ready, whoever has the
// partition later. Processes that begin at the same time agree about the place.
func TestBeginAtTheEnd(t *testing.T) {
	quietly(t, func(w *world) {
		w.addSome(10)
		one, other := make(chan struct{}), make(chan struct{})
		for _, done := range []chan struct{}{one, other} {
			go func() {
				defer close(done)
				w.beginOnly(w.t.Context(), false, w.send)
			}()
		}
		<-one
		w.addSome(10)
		<-other
		if w.state.Next != 10 || w.version != 1 || w.asked > 0 {
			t.Errorf("the reaction is at %+v, version %d, and was asked %d times", w.state, w.version, w.asked)
		}
		p := w.begin(false)
		w.addSome(10)
		w.awaitQuiet()
		w.check(10, nil)
		p.end()
	})
}

// A reaction that begins at the beginning needs no place, a copy gets none, and a
// reaction with a place keeps the place, with its open streams as they are.
func TestBeginChangesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		fromBeginning bool
		state         checkpoint.State
	}{
		"from the beginning": {fromBeginning: true},
		"copy":               {state: checkpoint.State{Started: true, TopicID: "another", Next: 3}},
		"begun": {state: checkpoint.State{
			Started: true, TopicID: "t", Next: 3, Open: map[string]checkpoint.Open{"a/1": {From: 1}, "a/2": {Parked: true, From: 2}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			quietly(t, func(w *world) {
				w.addSome(10)
				w.state = test.state
				w.beginOnly(w.t.Context(), test.fromBeginning, w.send)
				w.awaitQuiet()
				if w.version > 0 || w.sent > 0 || w.asked > 0 {
					t.Errorf("the reaction is at %+v, sent %d commands, and was asked %d times", w.state, w.sent, w.asked)
				}
			})
		})
	}
}

// As long as nobody decides the note, a process is not ready, but only for half a
// minute.
func TestBeginIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, began := newWorld(t, 1), time.Now()
		w.beginOnly(w.t.Context(), false, func(_ *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
			sent(eventlog.CommandPlace{}, nil)
		})
		if took := time.Since(began); took != beginPatience {
			t.Errorf("took %s", took)
		}
	})
}
