package readmodel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// line is what waits to be folded into one read model: the records of all the
// partitions that this process has, in the order in which they come. They are
// folded a batch a transaction, whatever their partitions: while one batch is
// under way, the next one gathers.
type line struct {
	engine *Engine
	wake   chan struct{} // ends lingering

	mu      sync.Mutex
	waiting batch
	running bool
	urgent  bool               // somebody waits for the line to be empty
	folded  time.Time          // when the last batch was
	took    time.Duration      // what it took
	stop    context.CancelFunc // ends the transaction under way, nil if there is none
}

// batch is records, and the folder of each.
type batch struct {
	entries []entry
	folders []*folder
}

func newLine(e *Engine) *line { return &line{engine: e, wake: make(chan struct{}, 1)} }

// add puts a record in line.
func (l *line) add(f *folder, e entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.closing || f.gone {
		return
	}
	f.waiting++
	l.waiting.entries = append(l.waiting.entries, e)
	l.waiting.folders = append(l.waiting.folders, f)
	if len(l.waiting.entries) == l.engine.BatchSize {
		l.hurry()
	}
	if !l.running {
		l.running = true
		go l.run()
	}
}

// hurry wakes the one who lingers, or will.
func (l *line) hurry() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run folds until nothing waits.
func (l *line) run() {
	for {
		l.linger()
		next := l.take()
		if len(next.entries) == 0 {
			return
		}
		l.commit(next)
	}
}

// lingerShare is how many times as long as a batch took the next one gathers,
// up to Linger: a store that is quick, or has little to do, keeps nobody
// waiting, and is busy for a fifth of the time at most.
const lingerShare = 4

// linger waits for more records until there is a full batch, or a partition is
// taken away, or it has lingered. It lingers only when the batch before has
// just been folded: a record that comes alone is folded at once.
func (l *line) linger() {
	l.mu.Lock()
	wait := min(l.engine.Linger, lingerShare*l.took) - time.Since(l.folded)
	n := len(l.waiting.entries)
	hurry := wait <= 0 || l.urgent || n == 0 || n >= l.engine.BatchSize
	l.mu.Unlock()
	if hurry {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-l.wake:
	}
}

// take takes the next batch out of the line. If there is none, nobody is
// running any more.
func (l *line) take() (next batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.waiting.entries), l.engine.BatchSize)
	next = batch{l.waiting.entries[:n:n], l.waiting.folders[:n:n]}
	if n < len(l.waiting.entries) {
		l.waiting = batch{l.waiting.entries[n:], l.waiting.folders[n:]}
		return next
	}
	l.waiting, l.urgent = batch{}, false
	l.running = n > 0
	return next
}

// commit folds a batch, and tries until it is done: nothing is skipped but
// what isn't this process's to fold any more.
func (l *line) commit(b batch) {
	began := time.Now()
	for try := 0; ; try++ {
		ctx, cancel := context.WithCancel(context.Background())
		moves, folders, entries := l.begin(b, cancel)
		err := l.fold(ctx, moves, entries)
		if err == nil {
			cancel()
			l.engine.tellFolded(entries, began)
			l.done(b, moves, folders, time.Since(began))
			return
		}
		if moved := (*MovedError)(nil); errors.As(err, &moved) {
			l.leave(l.goOn(moved.Partitions, folders), folders)
		} else if errors.Is(err, ErrOtherDefinition) {
			l.stopAll(folders, err)
		} else if ctx.Err() == nil {
			l.engine.Logger.Warn("can't write to the store; trying again", "read model", l.engine.Projection.Name, "error", err)
			_ = kafka.Backoff(ctx, try) // cut short when a partition goes: the others can go on
		}
		cancel()
	}
}

func (l *line) fold(ctx context.Context, moves []Move, entries []entry) error {
	if len(moves) == 0 {
		return nil
	}
	if old := ofOldGenerations(moves); len(old) > 0 {
		return &MovedError{Partitions: old}
	}
	e := l.engine
	return e.Store.Update(ctx, e.Projection, moves, func(tx Tx) error {
		return newFold(e.Projection, e.Logger).commit(ctx, tx, entries)
	})
}

// ofOldGenerations are the partitions whose claims were set up before another
// generation went live, among others that were set up after that.
func ofOldGenerations(moves []Move) (old []int32) {
	newest := 0
	for i := range moves {
		newest = max(newest, moves[i].From.Generation)
	}
	for i := range moves {
		if moves[i].From.Generation < newest {
			old = append(old, moves[i].From.Partition)
		}
	}
	return old
}

// begin says what of a batch is to be folded: the steps of the partitions that
// are still this process's, and their records.
func (l *line) begin(b batch, stop context.CancelFunc) (moves []Move, folders []*folder, entries []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = stop
	entries = b.entries
	skip := func(i int) bool { // what is left to others, or was in when its partition went on in another generation
		f := b.folders[i]
		return f.gone || b.entries[i].Offset < f.at.Next
	}
	for i := range b.folders {
		if skip(i) {
			entries = make([]entry, 0, len(b.entries))
			break
		}
	}
	for i, f := range b.folders {
		if skip(i) {
			continue
		}
		if len(entries) < len(b.entries) {
			entries = append(entries, b.entries[i])
		}
		n := slices.Index(folders, f)
		if n < 0 {
			n = len(folders)
			folders = append(folders, f)
			moves = append(moves, Move{From: f.at, To: f.at})
		}
		moves[n].To.Next, moves[n].To.Digest = b.entries[i].Offset+1, b.entries[i].Digest
	}
	return moves, folders, entries
}

// leave gives up the claims of partitions whose checkpoints others have moved.
func (l *line) leave(moved []int32, folders []*folder) {
	for _, f := range folders {
		if slices.Contains(moved, f.claim.Partition) {
			l.engine.Logger.Warn("another process has moved the checkpoint; joining the group again",
				"read model", l.engine.Projection.Name, "partition", f.claim.Partition)
			l.drop(f)
			f.claim.Abandon()
		}
	}
}

// done tells everyone that a batch is folded.
func (l *line) done(b batch, moves []Move, folders []*folder, took time.Duration) {
	e := l.engine
	for i, f := range folders {
		to := moves[i].To
		f.at = to
		f.next.set(to.Next)
		e.Waits.Moved(e.Store, e.Projection, to)
		f.claim.Mark(to.Next)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stop = nil
	l.folded, l.took = time.Now(), took
	for _, f := range b.folders {
		<-f.room
		f.waiting--
		if f.waiting == 0 && f.closing && !f.gone {
			close(f.idle)
		}
	}
}

// close lets nothing more of a partition in line. The folder is idle when what
// is there is folded.
func (l *line) close(f *folder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.gone || f.closing {
		return
	}
	f.closing = true
	if f.waiting == 0 {
		close(f.idle)
		return
	}
	l.urgent = true
	l.hurry()
}

// drop leaves what of a partition is in line to others. A transaction that is
// under way begins again without it.
func (l *line) drop(f *folder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.gone || f.closing && f.waiting == 0 {
		return
	}
	f.gone = true
	close(f.idle)
	if l.stop != nil {
		l.stop()
	}
}
