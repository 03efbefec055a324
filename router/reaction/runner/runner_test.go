package runner

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// causes adds some causes of a few streams.
func (w *world) addSome(n int) {
	for range n {
		var c cause
		c.stream = fmt.Sprint("a/", w.luck.n(4))
		for range w.luck.n(4) {
			c.targets = append(c.targets, fmt.Sprint("b/", w.luck.n(3)))
		}
		c.copied = w.luck.n(8) == 0
		w.add(c)
	}
}

// Whatever crashes, freezes or comes back late: each command takes effect once,
// and in the order of its stream of causes.
func TestChaos(t *testing.T) {
	const seeds = 150
	for seed := range uint64(seeds) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			w := newWorld(t, seed)
			w.faulty = true
			running := []*process{w.begin(true)}
			for range 30 {
				w.addSome(w.luck.n(6))
				time.Sleep(time.Duration(w.luck.n(400)) * time.Millisecond)
				switch w.luck.n(8) {
				case 0: // another owner, while the first goes on
					running = append(running, w.begin(true))
				case 1:
					if n := len(running); n > 0 {
						i := w.luck.n(n)
						go running[i].crash()
						running = append(running[:i], running[i+1:]...)
					}
				case 2:
					if n := len(running); n > 1 {
						go running[0].end()
						running = running[1:]
					}
				case 3:
					w.fail(fmt.Sprint("a/", w.luck.n(4)), w.luck.n(2) == 0)
				case 4, 5:
					w.retryAll()
				case 6:
					time.Sleep(time.Minute)
				}
			}
			for _, p := range running {
				p.end()
			}
			last := w.begin(true)
			w.mu.Lock()
			w.faulty = false
			clear(w.failing)
			w.mu.Unlock()
			for range 3 {
				w.awaitQuiet()
				w.retryAll()
			}
			w.awaitQuiet()
			w.check(0, nil)
			if len(w.state.Open) > 0 {
				t.Errorf("at the end: %+v of %d", w.state, len(w.causes))
			}
			last.end()
		})
	}
}

func (w *world) fail(stream string, fails bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing[stream] = fails
}

func (w *world) retryAll() {
	w.mu.Lock()
	names := w.state.Names()
	w.mu.Unlock()
	for _, stream := range names {
		w.operate(checkpoint.RetryCause{ID: "r/0", Stream: stream})
	}
}

// quietly runs a test in a bubble, in a world without faults, and checks nothing
// at the end.
func quietly(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) { test(newWorld(t, 7)) })
}

// A new reaction starts at the log's end, or at its beginning.
func TestStart(t *testing.T) {
	for fromBeginning, from := range map[bool]int64{true: 0, false: 20} {
		quietly(t, func(w *world) {
			w.addSome(20)
			p := w.begin(fromBeginning)
			w.awaitQuiet()
			w.addSome(20)
			w.awaitQuiet()
			w.check(from, nil)
			p.end()
			next := w.begin(!fromBeginning) // started before: the place counts
			w.addSome(20)
			w.awaitQuiet()
			w.check(from, nil)
			next.end()
		})
	}
}

// A parked stream stops alone. Retried, its causes are answered; skipped, all
// but the first.
func TestParked(t *testing.T) {
	for _, skip := range []bool{false, true} {
		quietly(t, func(w *world) {
			p := w.begin(true)
			for range 5 {
				w.add(cause{stream: "a/1", targets: []string{"b/1", "b/2"}})
				w.add(cause{stream: "a/2", targets: []string{"b/1"}})
			}
			w.fail("a/1", true)
			w.awaitQuiet()
			w.check(0, func(offset int64) bool { return offset%2 == 0 })
			if o := w.state.Open["a/1"]; !o.Parked || o.From != 0 || o.Reason != "the reaction fails" || len(w.state.Open) != 1 {
				t.Errorf("open is %+v", w.state.Open)
			}
			asked := w.asked
			w.fail("a/1", false)
			w.add(cause{stream: "a/1", targets: []string{"b/1"}})
			w.awaitQuiet()
			if w.asked > asked+1 {
				t.Errorf("the reaction was asked %d times about a parked stream", w.asked-asked)
			}
			if skip {
				w.operate(checkpoint.SkipCause{ID: "r/0", Stream: "a/1", Offset: 0})
			} else {
				w.operate(checkpoint.RetryCause{ID: "r/0", Stream: "a/1"})
			}
			w.awaitQuiet()
			w.check(0, func(offset int64) bool { return skip && offset == 0 })
			if len(w.state.Open) != 0 || w.state.Next != 11 {
				t.Errorf("the place is %+v", w.state)
			}
			p.end()
		})
	}
}

// A process that is behind fails at a cause that another process has answered
// and noted: the cause is no longer the process's to answer or to park.
func TestFailsAtAnAnsweredCause(t *testing.T) {
	quietly(t, func(w *world) {
		behind := w.begin(true)
		w.awaitQuiet()
		w.fail("a/1", true)
		w.state.Next, w.version = 3, w.version+1 // by another process
		for range 3 {
			w.add(cause{stream: "a/1", targets: []string{"b/1"}})
		}
		for one := range w.told {
			one.states <- decider.StreamState{Version: w.version, State: w.state}
		}
		time.Sleep(time.Minute)
		if w.sent > 20 {
			t.Errorf("%d sends in a minute", w.sent)
		}
		behind.end()
	})
}

// At the limit of open streams the reaction waits, and goes on once a stream is
// closed.
func TestTooManyOpen(t *testing.T) {
	quietly(t, func(w *world) {
		p := w.begin(true)
		for i := range 66 {
			w.fail(fmt.Sprint("f/", i), true)
			w.add(cause{stream: fmt.Sprint("f/", i), targets: []string{"b/1"}})
		}
		w.add(cause{stream: "a/1", targets: []string{"b/1"}})
		w.awaitQuiet()
		if len(w.state.Open) != 64 || len(w.targets) != 0 {
			t.Errorf("%d are open, the place is %d, and there are %d targets", len(w.state.Open), w.state.Next, len(w.targets))
		}
		w.mu.Lock()
		clear(w.failing)
		w.mu.Unlock()
		for range 2 { // the cause that waited is parked now
			w.retryAll()
			w.awaitQuiet()
		}
		w.check(0, nil)
		p.end()
	})
}

// A reaction behind 64 others is parked, with the records behind.
func TestTooDeep(t *testing.T) {
	quietly(t, func(w *world) {
		p := w.begin(true)
		w.add(cause{stream: "a/0"})
		w.add(cause{stream: "a/1", targets: []string{"b/1"}, depth: 63})
		w.add(cause{stream: "a/2", targets: []string{"b/1"}, depth: 64})
		w.awaitQuiet()
		w.check(0, func(offset int64) bool { return offset == 2 })
		if d := w.targets["b/1"].effects[0].Origin.Depth; d != 64 {
			t.Errorf("the depth is %d", d)
		}
		const want = "more than 64 commands of reactions behind each other: a/2 happened, by reaction r of a/1 happened, by reaction r of a/0 happened"
		if o := w.state.Open["a/2"]; !o.Parked || o.Reason != want {
			t.Errorf("open is %+v", w.state.Open)
		}
		p.end()
	})
}

// A process has sent the commands of a cause, parked a later cause of the stream, and
// was killed before Kafka had the commands. The next process fails at the first cause
// too: the cause is parked then, and not taken for answered.
func TestFailsBeforeTheParkedCause(t *testing.T) {
	quietly(t, func(w *world) {
		w.state = checkpoint.State{Started: true, TopicID: "t", Open: map[string]checkpoint.Open{"a/1": {Parked: true, From: 1}}}
		w.version = 2
		w.fail("a/1", true)
		p := w.begin(true)
		for range 2 {
			w.add(cause{stream: "a/1", targets: []string{"b/1"}})
		}
		w.awaitQuiet()
		if o := w.state.Open["a/1"]; !o.Parked || o.From != 0 {
			t.Errorf("open is %+v", w.state.Open)
		}
		w.fail("a/1", false)
		w.retryAll()
		w.awaitQuiet()
		w.check(0, nil)
		p.end()
	})
}

// A clean hand-over leaves nothing to the next owner. After a crash, the causes of
// at most a minute are answered again.
func TestHandOver(t *testing.T) {
	for _, crash := range []bool{false, true} {
		quietly(t, func(w *world) {
			p := w.begin(true)
			w.addSome(20)
			time.Sleep(90 * time.Second)
			synctest.Wait()
			noted := w.version
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			if w.version != noted || noted != 2 {
				t.Errorf("the reaction's stream has version %d, and %d after 90 s", w.version, noted)
			}
			w.addSome(10)
			time.Sleep(10 * time.Second)
			synctest.Wait()
			sent := w.sent
			if crash {
				p.crash()
			} else {
				p.end()
			}
			asked := w.asked
			p = w.begin(true)
			w.awaitQuiet()
			w.check(0, nil)
			if again := w.asked - asked; crash != (again > 0) || again > 10 {
				t.Errorf("crash %v: asked about %d records again", crash, again)
			}
			if !crash && w.sent != sent+1 { // the last note
				t.Errorf("%d sends after a clean hand-over", w.sent-sent)
			}
			p.end()
		})
	}
}

// Two streams that wait for the producer hold up nobody else.
func TestSlowTarget(t *testing.T) {
	quietly(t, func(w *world) {
		p := w.begin(true)
		p.runner.most = 0
		var slow []func()
		send := p.runner.Send
		p.runner.Send = func(e *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
			if e.Stream == "slow/1" {
				w.mu.Lock()
				slow = append(slow, func() { send(e, sent) })
				w.mu.Unlock()
				return
			}
			send(e, sent)
		}
		for range 10 {
			w.add(cause{stream: "a/1", targets: []string{"slow/1", "b/1"}})
		}
		w.awaitQuiet()
		if n := len(w.targets["b/1"].effects); n != 10 || len(slow) != 1 {
			t.Errorf("%d commands to the other target take effect, and %d are sent to the slow target", n, len(slow))
		}
		if w.state.Next != 0 {
			t.Errorf("the place is %d, although a command is not acknowledged", w.state.Next)
		}
		for range 10 {
			w.mu.Lock()
			next := slow
			slow = nil
			w.mu.Unlock()
			for _, send := range next {
				send()
			}
			time.Sleep(time.Second)
		}
		w.awaitQuiet()
		w.check(0, nil)
		p.end()
	})
}

// A place in another topic events is of another log.
func TestOtherTopic(t *testing.T) {
	quietly(t, func(w *world) {
		w.addSome(20)
		first := w.begin(true)
		w.awaitQuiet()
		asked := w.asked
		first.end()
		w.state.TopicID = "another"
		w.addSome(10)
		p := w.begin(true)
		w.awaitQuiet()
		if w.asked > asked {
			t.Error("the reaction goes on in another topic")
		}
		p.end()
	})
}
