package readmodel

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Pace says when the read models of a process begin their next batches, so that
// read models on the same store begin together and share a transaction. The zero
// value is ready for use.
type Pace struct {
	mu      sync.Mutex
	took    [paceOver]time.Duration // by the last batches
	records [paceOver]int           // in the last batches
	n       int                     // counts batches
	next    time.Time               // when the next batches begin
}

// paceOver is the number of batches of which the median counts. So a batch that
// stalls makes no later batch wait.
const paceOver = 15

// done notes the duration and the size of a batch.
func (p *Pace) done(took time.Duration, records int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.took[p.n%paceOver], p.records[p.n%paceOver] = took, records
	p.n++
}

// usual is the median of a list with an entry for each of the last batches.
func usual[T cmp.Ordered](last [paceOver]T, n int) (median T) {
	known := last[:min(n, paceOver)]
	if len(known) == 0 {
		return median
	}
	slices.Sort(known)
	return known[(len(known)-1)/2]
}

// A batch gathers for one usual duration more for every crowd records in usual
// batches, and for up to mostTimes. Under full load a batch so shares the cost of a
// transaction between more records; a record that comes nearly alone waits no longer.
const (
	crowd     = 16
	mostTimes = 3
)

// due is the begin of the batch after a batch that ended then: a batch gathers
// for the usual duration of a batch, under full load longer, and at most for
// linger. So a fast store delays nobody for long, and batches that come without a
// pause grow. Batches that may begin at nearly the same time begin at the same time.
func (p *Pace) due(ended time.Time, linger time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	wait := p.wait(1, linger)
	due := ended.Add(wait)
	if apart := due.Sub(p.next); apart.Abs() > wait/2 {
		p.next = due
	}
	return p.next
}

// soon is due for a batch that somebody waits for: the batch gathers under full load
// only, and begins with no other.
func (p *Pace) soon(ended time.Time, linger time.Duration) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ended.Add(p.wait(0, linger))
}

// wait is how long a batch gathers: for the usual duration of a batch, so often at
// least.
func (p *Pace) wait(least int, linger time.Duration) time.Duration {
	times := min(least+usual(p.records, p.n)/crowd, mostTimes)
	return min(linger, time.Duration(times)*usual(p.took, p.n))
}

// linger waits for more records. linger ends early when the batch is full or a
// partition is revoked.
func (b *batcher) linger() {
	for {
		question := b.asked.next()
		if !b.pause(b.due(question == nil), question) {
			return
		}
	}
}

// due is the begin of the next batch: soon if somebody asks for the read model, and
// otherwise not before the first record has waited for the engine's Gather.
func (b *batcher) due(asked bool) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, linger := len(b.waiting.entries), b.engine.Linger
	if b.urgent || n == 0 || n >= b.engine.BatchSize {
		return time.Time{}
	}
	if asked {
		return b.pace.soon(b.folded, linger)
	}
	due, gathered := b.pace.due(b.folded, linger), b.since.Add(min(b.engine.Gather, linger))
	if due.Before(gathered) {
		return gathered
	}
	return due
}

// pause waits until a time. The result says whether a question ended the pause.
func (b *batcher) pause(until time.Time, question <-chan struct{}) (asked bool) {
	wait := time.Until(until)
	if wait <= 0 {
		return false
	}
	b.timer.Reset(wait)
	select {
	case <-b.timer.C:
	case <-b.wake:
	case <-question:
		return true
	}
	return false
}

// asked counts the goroutines of this process that wait for a read model.
type asked struct {
	mu       sync.Mutex
	asking   int
	question chan struct{} // closed by the next goroutine that waits; nil if nobody listens
}

// add counts n more goroutines, or fewer.
func (a *asked) add(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking += n
	if n > 0 && a.question != nil {
		close(a.question)
		a.question = nil
	}
}

// next is closed when somebody waits for the read model; nil if somebody does.
func (a *asked) next() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.asking > 0 {
		return nil
	}
	if a.question == nil {
		a.question = make(chan struct{})
	}
	return a.question
}
