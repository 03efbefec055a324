package readmodel

import (
	"slices"
	"sync"
	"time"
)

// Pace says when the read models of a process begin their next batches, so that
// read models on the same store begin together and share a transaction. The zero
// value is ready for use.
type Pace struct {
	mu   sync.Mutex
	last [paceOver]time.Duration // the durations of the last batches
	n    int                     // counts batches
	next time.Time               // when the next batches begin
}

// paceOver is the number of batches of which the median counts. So a batch that
// stalls makes no later batch wait.
const paceOver = 15

// done notes the duration of a batch.
func (p *Pace) done(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last[p.n%paceOver] = took
	p.n++
}

// usual is the median duration of the last batches.
func (p *Pace) usual() time.Duration {
	last := p.last
	known := last[:min(p.n, paceOver)]
	if len(known) == 0 {
		return 0
	}
	slices.Sort(known)
	return known[(len(known)-1)/2]
}

// due is the begin of the batch after a batch that ended then: a batch gathers
// for the usual duration of a batch, and at most for linger. So a fast store
// delays nobody for long, and batches that come without a pause grow. Batches that may
// begin at nearly the same time begin at the same time.
func (p *Pace) due(ended time.Time, linger time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := min(linger, p.usual())
	due := ended.Add(wait)
	if apart := due.Sub(p.next); apart.Abs() > wait/2 {
		p.next = due
	}
	return p.next
}
