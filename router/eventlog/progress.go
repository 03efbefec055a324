package eventlog

import (
	"context"
	"sync"
)

// Progress is how far a partition is processed, for everybody who waits for an
// offset. Waiting costs no polling. The zero value stands at offset 0.
type Progress struct {
	mu    sync.Mutex
	next  int64
	moved chan struct{} // closed, and replaced, each time the progress moves
}

// Next is the offset of the first record, or command, that is not processed.
func (p *Progress) Next() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

// Set moves the progress, and wakes everybody who waits.
func (p *Progress) Set(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = next
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// Await waits until all before the offset next is processed, or the context
// ends. The result says whether the offset was reached.
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
