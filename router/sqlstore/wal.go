package sqlstore

import (
	"context"
	"database/sql"
	"os"
	"sync"
	"time"

	sqlitedriver "modernc.org/sqlite"
)

// walLimits are the limits of SQLite's write-ahead log.
type walLimits struct {
	// pages is the number of pages in the WAL from which a checkpoint writes
	// the pages to the database, and the WAL starts again.
	pages int
	// bytes is the largest size of the WAL's file. A larger file is cut.
	bytes int64
	// rest is the time without commits after which the page caches are freed.
	rest time.Duration
}

// sqliteWAL: a checkpoint every 32 MiB, and a file of at most 64 MiB. The file
// is larger only while a reader keeps its view, or while a transaction writes
// more.
var sqliteWAL = walLimits{pages: 8192, bytes: 64 << 20, rest: 15 * time.Second}

const (
	// walEvery is the shortest time between two looks at the WAL, and walLast
	// the longest time while a reader keeps its view.
	walEvery = 100 * time.Millisecond
	walLast  = time.Second
	// walRest is the number of pages that a checkpoint should write while updates
	// wait. Checkpoints beside the updates write the other pages: the updates add
	// pages meanwhile, so up to walRounds checkpoints, each shorter than the last.
	walRest   = 64
	walRounds = 6
	// walBusy is how long updates wait for readers when the WAL starts again,
	// in milliseconds.
	walBusy = "10"
)

// wal writes the pages of the WAL to the database, beside the updates. SQLite's
// automatic checkpoint would write the pages within a commit.
type wal struct {
	walLimits
	file    string
	write   *pool // the connection of the updates
	read    *pool
	db      *sql.DB // the connection of the checkpoints
	written chan struct{}
	cancel  context.CancelFunc
	ended   sync.WaitGroup
}

// startWAL keeps the WAL of a database small until close. dsn is of a
// connection for checkpoints.
func startWAL(dsn, file string, write, read *pool, limits walLimits) (*wal, error) {
	connector, err := sqlitedriver.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	w := &wal{walLimits: limits, file: file, write: write, read: read, db: sql.OpenDB(connector), written: make(chan struct{}, 1)}
	w.db.SetMaxOpenConns(1)
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(context.Background())
	write.committed = w.wake
	w.ended.Go(func() { w.run(ctx) })
	return w, nil
}

// wake says that a transaction is committed.
func (w *wal) wake() {
	select {
	case w.written <- struct{}{}:
	default:
	}
}

func (w *wal) close() error {
	w.cancel()
	w.ended.Wait()
	return w.db.Close()
}

// run looks at the WAL after commits. As long as the WAL is too large, run looks
// again without commits: a reader may have kept its view. Some time after the
// last commit, run frees the page caches.
func (w *wal) run(ctx context.Context) {
	pause := walEvery
	timer := time.NewTimer(pause)
	defer timer.Stop()
	var rest <-chan time.Time
	for large := false; ; {
		if large {
			pause = min(2*pause, walLast)
		} else {
			select {
			case <-w.written:
			case <-rest:
				w.freeCaches(ctx)
				rest = nil
				continue
			case <-ctx.Done():
				return
			}
			pause = walEvery
		}
		timer.Reset(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		large = !w.shrink(ctx)
		rest = time.After(w.rest)
	}
}

// freeCaches frees the page caches of the idle connections.
func (w *wal) freeCaches(ctx context.Context) {
	for _, db := range []*sql.DB{w.write.DB, w.read.DB, w.db} {
		var conns []*sql.Conn
		for range db.Stats().Idle { // each connection once
			conn, err := db.Conn(ctx)
			if err != nil {
				break
			}
			conns = append(conns, conn)
			_, _ = conn.ExecContext(ctx, "PRAGMA shrink_memory") // the next update reports a broken connection
		}
		for _, conn := range conns {
			_ = conn.Close() // back to the pool
		}
	}
}

// shrink writes the pages of a large WAL to the database, and lets the WAL start
// again. The result is false if the WAL is still too large.
func (w *wal) shrink(ctx context.Context) bool {
	at, err := w.checkpoint(ctx, "NOOP")
	if err != nil {
		return false
	}
	cut := w.size() > w.bytes
	if at.pages < w.pages && !cut {
		return true
	}
	for round := 0; round < walRounds && at.rest() > walRest; round++ {
		if at, err = w.checkpoint(ctx, "PASSIVE"); err != nil || at.rest() > walRest {
			return false // a reader keeps its view, or another process checkpoints
		}
		if at, err = w.checkpoint(ctx, "NOOP"); err != nil { // with the pages that the updates have added
			return false
		}
	}
	return w.restart(ctx, cut) && (!cut || w.size() <= w.bytes)
}

// restart writes the last pages while the updates of this process wait. Then the
// WAL starts again at its beginning. restart fails if a reader keeps its view.
func (w *wal) restart(ctx context.Context, cut bool) bool {
	mode := "RESTART"
	if cut {
		mode = "TRUNCATE"
	}
	turn, err := w.write.Conn(ctx)
	if err != nil {
		return false
	}
	defer func() { _ = turn.Close() }() // back to the pool
	at, err := w.checkpoint(ctx, mode)
	return err == nil && !at.busy
}

// walState is the result of a checkpoint.
type walState struct {
	busy           bool
	pages, written int // in the WAL; of these, in the database too
}

// rest is the number of pages that are not in the database.
func (s walState) rest() int { return s.pages - s.written }

func (w *wal) checkpoint(ctx context.Context, mode string) (at walState, err error) {
	err = w.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint("+mode+")").Scan(&at.busy, &at.pages, &at.written)
	return at, err
}

// size is the size of the WAL's file.
func (w *wal) size() int64 {
	info, err := os.Stat(w.file)
	if err != nil {
		return 0
	}
	return info.Size()
}
