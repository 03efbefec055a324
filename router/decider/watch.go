package decider

import (
	"slices"

	"github.com/millrace/millrace/router/eventlog"
)

// waiter is told of a command's outcomes by the fold, which holds a lock: it
// waits for nothing. It says whether it wants to be told of more.
type waiter struct{ tell func(Outcome) (more bool) }

// Watch is somebody waiting for a command's outcomes. It costs no polling.
type Watch struct {
	// C has the outcomes as they come: what was parked or queued may end
	// otherwise later. The first is there at once if it is known.
	C <-chan Outcome

	partition *partition
	who       waitingFor
	waiter    *waiter
}

// Watch waits for the outcomes of a command. Close it.
func (ss *StateStore) Watch(streamName, commandID string) *Watch {
	c := make(chan Outcome, 8) // parked, requeued, parked again, …
	w := ss.wait(streamName, commandID, func(o Outcome) bool {
		select {
		case c <- o:
		default: // nobody has looked for long
		}
		return true
	})
	w.C = c
	return w
}

// Expect calls decided once, when the command has an outcome of any kind. It
// must wait for nothing.
func (ss *StateStore) Expect(streamName, commandID string, decided func()) *Watch {
	return ss.wait(streamName, commandID, func(Outcome) bool {
		decided()
		return false
	})
}

func (ss *StateStore) wait(streamName, commandID string, tell func(Outcome) bool) *Watch {
	pt := ss.partitionOf(streamName)
	w := &Watch{partition: pt, who: waitingFor{streamName, commandID}, waiter: &waiter{tell}}
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if s := pt.streams[streamName]; s != nil {
		if o, ok := s.outcome(commandID); ok && !tell(o) {
			return w
		}
	}
	pt.waiting[w.who] = append(pt.waiting[w.who], w.waiter)
	return w
}

// Outcome returns that of a command, if it is known.
func (ss *StateStore) Outcome(streamName, commandID string) (Outcome, bool) {
	pt := ss.partitionOf(streamName)
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if s := pt.streams[streamName]; s != nil {
		return s.outcome(commandID)
	}
	return Outcome{}, false
}

// Waiting is how many wait for outcomes.
func (ss *StateStore) Waiting() (n int) {
	for _, pt := range ss.partitions {
		pt.mu.Lock()
		for _, of := range pt.waiting {
			n += len(of)
		}
		pt.mu.Unlock()
	}
	return n
}

// Close stops waiting. It says whether somebody was: an expected outcome that
// has come is waited for no more.
func (w *Watch) Close() bool {
	pt := w.partition
	pt.mu.Lock()
	defer pt.mu.Unlock()
	i := slices.Index(pt.waiting[w.who], w.waiter)
	if i < 0 {
		return false
	}
	pt.setWaiting(w.who, slices.Delete(pt.waiting[w.who], i, i+1))
	return true
}

// tell tells those who wait for a command.
func (pt *partition) tell(who waitingFor, o Outcome) {
	if waiting := pt.waiting[who]; len(waiting) > 0 {
		pt.setWaiting(who, slices.DeleteFunc(waiting, func(w *waiter) bool { return !w.tell(o) }))
	}
}

func (pt *partition) setWaiting(who waitingFor, waiting []*waiter) {
	if len(waiting) == 0 {
		delete(pt.waiting, who)
		return
	}
	pt.waiting[who] = waiting
}

func (ss *StateStore) partitionOf(streamName string) *partition {
	return ss.partitions[eventlog.PartitionOf(streamName, int32(len(ss.partitions)))]
}
