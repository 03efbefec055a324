package sqlstore

import (
	"context"
	"sync"
	"time"
)

const (
	// othersFor is how long after others have written they are taken to go on.
	othersFor = 2 * time.Second
	// turnShare is which part of the time is left to them then.
	turnShare = 3
	// alone works turnEvery without a break, and takes one of turnLength.
	turnEvery  = 250 * time.Millisecond
	turnLength = 30 * time.Millisecond
)

// turns leave a writer's turns to the others on a SQLite file. Who finds it
// locked looks again up to 100 ms later: beside one that writes without a break
// it would find nothing else for seconds.
type turns struct {
	mu      sync.Mutex
	version int64     // of the file, as others have written it
	others  time.Time // when they last had
	worked  time.Duration
}

// leave waits, after so much work, if it is for others to write.
func (t *turns) leave(ctx context.Context, write *pool, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// It changes when another connection has written, and then only.
	var version int64
	if err := write.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return // whoever writes next finds out why
	}
	if version != t.version {
		t.version, t.others = version, time.Now()
	}
	t.worked += took
	var pause time.Duration
	switch {
	case time.Since(t.others) < othersFor:
		pause = t.worked / turnShare
	case t.worked >= turnEvery:
		pause = turnLength
	default:
		return
	}
	t.worked = 0
	select {
	case <-time.After(pause):
	case <-ctx.Done():
	}
}
