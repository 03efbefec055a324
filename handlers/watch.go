package handlers

import (
	"slices"

	"github.com/millrace/millrace/messaging"
)

// Watch is somebody waiting for a command's outcomes. It costs no polling:
// the ledger's fold tells of each.
type Watch struct {
	// C has the command's outcomes as they come: what was parked or queued
	// may end otherwise later. The first is there at once if it is known.
	C <-chan Outcome

	c         chan Outcome
	partition *ledgerPartition
	who       waitingFor
}

// Watch waits for the outcomes of a command. Close it.
func (l *Ledger) Watch(streamName, commandID string) *Watch {
	c := make(chan Outcome, 4) // parked, requeued, and some to spare
	w := &Watch{C: c, c: c, partition: l.partitionOf(streamName), who: waitingFor{streamName, commandID}}
	p := w.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.streams[streamName]; s != nil {
		if o, ok := s.outcome(commandID); ok {
			c <- o
		}
	}
	p.waiting[w.who] = append(p.waiting[w.who], c)
	return w
}

// Close stops waiting.
func (w *Watch) Close() {
	p := w.partition
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(p.waiting[w.who], func(c chan Outcome) bool { return c == w.c })
	if len(rest) == 0 {
		delete(p.waiting, w.who)
		return
	}
	p.waiting[w.who] = rest
}

func (l *Ledger) partitionOf(streamName string) *ledgerPartition {
	return l.partitions[messaging.PartitionOf(streamName, int32(len(l.partitions)))]
}
