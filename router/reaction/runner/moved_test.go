package runner

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// Repeats implements [Folded].
func (w *world) Repeats(stream string, o *eventlog.Origin) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.targets[stream]
	return t != nil && t.fences.Repeats(o), nil
}

// wantAnswered checks what [CheckAnswered] says, "" for nothing.
func (w *world) wantAnswered(fromBeginning bool, want string) {
	w.t.Helper()
	err := CheckAnswered(w.t.Context(), Reaction{Name: "r", FromBeginning: fromBeginning, React: w.react}, w, log{w}, "t", 0)
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		w.t.Errorf("got %v, want %q", err, want)
	}
}

// A log can be moved once all its records are answered: the fences of the targets
// tell, wherever the noted place is.
func TestCheckAnswered(t *testing.T) {
	quietly(t, func(w *world) {
		w.wantAnswered(true, "")
		w.add(cause{stream: "a/1"})
		w.add(cause{stream: "a/1", targets: []string{"b/1"}, copied: true})
		w.wantAnswered(true, "")
		w.add(cause{stream: "a/1", targets: []string{"b/1", "b/2"}})
		w.wantAnswered(true, "has not answered a/1, partition 0, offset 2")
		w.wantAnswered(false, "") // a new reaction
		p := w.begin(true)
		w.addSome(20)
		w.awaitQuiet()
		w.wantAnswered(true, "")
		p.crash() // without a note
		w.wantAnswered(true, "")
		w.add(cause{stream: "a/2", targets: []string{"b/3"}})
		w.wantAnswered(true, "has not answered a/2, partition 0, offset 23")
		w.fail("a/2", true)
		w.wantAnswered(true, "reaction r fails at a/2, partition 0, offset 23: the reaction fails")
		p = w.begin(true)
		w.awaitQuiet()
		w.wantAnswered(true, "stream a/2 is parked in reaction r: `reactions retry` or `reactions skip` first")
		w.fail("a/2", false)
		w.operate(checkpoint.RetryCause{ID: "r/0", Stream: "a/2"})
		w.awaitQuiet()
		w.wantAnswered(true, "")
		p.end()
		w.state.TopicID = "another"
		w.wantAnswered(true, "the log is a copy")
	})
}

// In a copy of a log, a partition has no place where the reaction has begun nothing,
// or where the first log had no such partition: the places of other partitions tell.
func TestCopiedLog(t *testing.T) {
	for _, fromBeginning := range []bool{false, true} {
		quietly(t, func(w *world) {
			w.addSome(20)
			w.elsewhere = checkpoint.State{Started: true, TopicID: "another", Next: 7}
			p := w.begin(fromBeginning)
			w.addSome(20)
			w.awaitQuiet()
			if w.asked > 0 || w.sent > 0 || w.state.Started {
				t.Errorf("from the beginning %v: the reaction was asked %d times, sent %d commands, and is at %+v", fromBeginning, w.asked, w.sent, w.state)
			}
			p.end()
			w.elsewhere.TopicID = "t"
			p = w.begin(fromBeginning)
			w.awaitQuiet()
			w.addSome(20)
			w.awaitQuiet()
			if w.asked == 0 {
				t.Error("the reaction doesn't begin")
			}
			p.end()
		})
	}
}
