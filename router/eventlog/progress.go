package eventlog

import (
	"context"
	"sync"
)

// Progress says how far a partition is processed. Any number of goroutines can
// wait for an offset, without polling. The zero value is at offset 0.
type Progress struct {
	mu    sync.Mutex
	next  int64
	moved chan struct{} // closed when the progress moves; nil if nobody waits
}

// Next returns the offset of the first unprocessed record or command.
func (p *Progress) Next() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// Set moves the progress, and wakes all waiting goroutines.
func (p *Progress) Set(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = next
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// Await waits until all offsets below next are processed, or the context ends.
// The result is false if the context ended first.
func (p *Progress) Await(ctx context.Context, next int64) bool {
	for {
		p.mu.Lock()
		if p.next >= next {
			p.mu.Unlock()
			return true
		}
		if p.moved == nil {
			p.moved = make(chan struct{})
		}
		moved := p.moved
		p.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}
