package readmodel

import (
	"context"
	"sync"
)

// progress is how far a folder is, for those who wait for it.
type progress struct {
	mu    sync.Mutex
	next  int64
	moved chan struct{} // closed, and replaced, each time it moves
}

func (p *progress) load() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

func (p *progress) set(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = next
	if p.moved != nil {
		close(p.moved)
		p.moved = nil
	}
}

// await waits until it has come to next, or the context ends.
func (p *progress) await(ctx context.Context, next int64) bool {
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
