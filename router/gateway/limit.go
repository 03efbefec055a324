package gateway

import (
	"context"
	"sync/atomic"

	"golang.org/x/sync/semaphore"
)

// limit is a semaphore with a count: the library's semaphore doesn't tell how
// many places are taken.
type limit struct {
	places *semaphore.Weighted
	taken  atomic.Int64
}

func newLimit(places int) *limit {
	return &limit{places: semaphore.NewWeighted(int64(places))}
}

// tryAcquire takes a place, if one is free.
func (l *limit) tryAcquire() bool {
	if !l.places.TryAcquire(1) {
		return false
	}
	l.taken.Add(1)
	return true
}

// acquire takes a place, and waits for a free place until the context ends.
func (l *limit) acquire(ctx context.Context) bool {
	if l.places.Acquire(ctx, 1) != nil {
		return false
	}
	l.taken.Add(1)
	return true
}

// release gives a place back, and waits for nothing.
func (l *limit) release() {
	l.taken.Add(-1)
	l.places.Release(1)
}

// UnderWay counts the commands on their way to Kafka, and the commands of this
// gateway without an outcome.
func (g *Gateway) UnderWay() (inFlight, undecided int) {
	return int(g.inFlight.taken.Load()), int(g.undecided.taken.Load())
}
