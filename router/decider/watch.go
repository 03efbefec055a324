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

	partition *ledgerPartition
	who       waitingFor
	waiter    *waiter
}

// Watch waits for the outcomes of a command. Close it.
func (l *Ledger) Watch(streamName, commandID string) *Watch {
	c := make(chan Outcome, 8) // parked, requeued, parked again, …
	w := l.wait(streamName, commandID, func(o Outcome) bool {
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
func (l *Ledger) Expect(streamName, commandID string, decided func()) *Watch {
	return l.wait(streamName, commandID, func(Outcome) bool {
		decided()
		return false
	})
}

func (l *Ledger) wait(streamName, commandID string, tell func(Outcome) bool) *Watch {
	p := l.partitionOf(streamName)
	w := &Watch{partition: p, who: waitingFor{streamName, commandID}, waiter: &waiter{tell}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.streams[streamName]; s != nil {
		if o, ok := s.outcome(commandID); ok && !tell(o) {
			return w
		}
	}
	p.waiting[w.who] = append(p.waiting[w.who], w.waiter)
	return w
}

// Outcome returns that of a command, if it is known.
func (l *Ledger) Outcome(streamName, commandID string) (Outcome, bool) {
	p := l.partitionOf(streamName)
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.streams[streamName]; s != nil {
		return s.outcome(commandID)
	}
	return Outcome{}, false
}

// Waiting is how many wait for outcomes.
func (l *Ledger) Waiting() (n int) {
	for _, p := range l.partitions {
		p.mu.Lock()
		for _, of := range p.waiting {
			n += len(of)
		}
		p.mu.Unlock()
	}
	return n
}

// Close stops waiting. It says whether somebody was: an expected outcome that
// has come is waited for no more.
func (w *Watch) Close() bool {
	p := w.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting[w.who], w.waiter)
	if i < 0 {
		return false
	}
	p.keep(w.who, slices.Delete(p.waiting[w.who], i, i+1))
	return true
}

// tell tells those who wait for a command.
func (p *ledgerPartition) tell(who waitingFor, o Outcome) {
	if waiting := p.waiting[who]; len(waiting) > 0 {
		p.keep(who, slices.DeleteFunc(waiting, func(w *waiter) bool { return !w.tell(o) }))
	}
}

func (p *ledgerPartition) keep(who waitingFor, waiting []*waiter) {
	if len(waiting) == 0 {
		delete(p.waiting, who)
		return
	}
	p.waiting[who] = waiting
}

func (l *Ledger) partitionOf(streamName string) *ledgerPartition {
	return l.partitions[eventlog.PartitionOf(streamName, int32(len(l.partitions)))]
}
