package sqlstore

import (
	"context"
	"sync"
	"time"
)

const (
	// othersFor is how long other writers are expected to go on after a write.
	othersFor = 2 * time.Second
	// turnShare is the other writers' share: a pause lasts a turnShare-th of
	// the time worked.
	turnShare = 3
	// Without other writers, a pause of turnLength follows each turnEvery of
	// work.
	turnEvery  = 250 * time.Millisecond
	turnLength = 30 * time.Millisecond
)

// turns makes a busy writer pause, for the other writers of a SQLite file. A
// writer that finds the file locked retries only after up to 100 ms, and would
// never get a turn beside a writer without pauses.
type turns struct {
	mu      sync.Mutex
	version int64     // the version that other connections last wrote
	others  time.Time // when another connection last wrote
	worked  time.Duration
}

// leave pauses after some work, if other writers are due.
func (t *turns) leave(ctx context.Context, write *pool, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// data_version changes only when another connection has written.
	var version int64
	if err := write.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version); err != nil {
		return // the next write reports the error
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
