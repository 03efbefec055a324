package readmodel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// batcher is what waits to be folded into one read model: the records of all the
// partitions that this process has, in the order in which they come. They are
// folded a batch a transaction, whatever their partitions: while one batch is
// under way, the next one gathers.
type batcher struct {
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
	entries   []entry
	consumers []*partitionConsumer
}

func newBatcher(e *Engine) *batcher { return &batcher{engine: e, wake: make(chan struct{}, 1)} }

// add puts a record in line.
func (b *batcher) add(pc *partitionConsumer, e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pc.closing || pc.gone {
		return
	}
	pc.waiting++
	b.waiting.entries = append(b.waiting.entries, e)
	b.waiting.consumers = append(b.waiting.consumers, pc)
	if len(b.waiting.entries) == b.engine.BatchSize {
		b.hurry()
	}
	if !b.running {
		b.running = true
		go b.run()
	}
}

// hurry wakes the one who lingers, or will.
func (b *batcher) hurry() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run folds until nothing waits.
func (b *batcher) run() {
	for {
		b.linger()
		next := b.take()
		if len(next.entries) == 0 {
			return
		}
		b.commit(next)
	}
}

// lingerShare is how many times as long as a batch took the next one gathers,
// up to Linger: a store that is quick, or has little to do, keeps nobody
// waiting, and is busy for a fifth of the time at most.
const lingerShare = 4

// linger waits for more records until there is a full batch, or a partition is
// taken away, or it has lingered. It lingers only when the batch before has
// just been folded: a record that comes alone is folded at once.
func (b *batcher) linger() {
	b.mu.Lock()
	wait := min(b.engine.Linger, lingerShare*b.took) - time.Since(b.folded)
	n := len(b.waiting.entries)
	hurry := wait <= 0 || b.urgent || n == 0 || n >= b.engine.BatchSize
	b.mu.Unlock()
	if hurry {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.wake:
	}
}

// take takes the next batch out of the line. If there is none, nobody is
// running any more.
func (b *batcher) take() (next batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting.entries), b.engine.BatchSize)
	next = batch{b.waiting.entries[:n:n], b.waiting.consumers[:n:n]}
	if n < len(b.waiting.entries) {
		b.waiting = batch{b.waiting.entries[n:], b.waiting.consumers[n:]}
		return next
	}
	b.waiting, b.urgent = batch{}, false
	b.running = n > 0
	return next
}

// commit folds a batch, and tries until it is done: nothing is skipped but
// what isn't this process's to fold any more.
func (b *batcher) commit(batch batch) {
	began := time.Now()
	for try := 0; ; try++ {
		ctx, cancel := context.WithCancel(context.Background())
		moves, consumers, entries := b.begin(batch, cancel)
		err := b.fold(ctx, moves, entries)
		if err == nil {
			cancel()
			b.engine.tellFolded(entries, began)
			b.done(batch, moves, consumers, time.Since(began))
			return
		}
		if moved := (*MovedError)(nil); errors.As(err, &moved) {
			b.leave(b.continueInLive(moved.Partitions, consumers), consumers)
		} else if errors.Is(err, ErrOtherDefinition) {
			b.stopAll(consumers, err)
		} else if ctx.Err() == nil {
			b.engine.Logger.Warn("can't write to the store; trying again", "read model", b.engine.Projection.Name, "error", err)
			_ = kafka.Backoff(ctx, try) // cut short when a partition goes: the others can go on
		}
		cancel()
	}
}

func (b *batcher) fold(ctx context.Context, moves []Move, entries []entry) error {
	if len(moves) == 0 {
		return nil
	}
	if old := ofOldGenerations(moves); len(old) > 0 {
		return &MovedError{Partitions: old}
	}
	e := b.engine
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
func (b *batcher) begin(batch batch, stop context.CancelFunc) (moves []Move, consumers []*partitionConsumer, entries []entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop = stop
	entries = batch.entries
	skip := func(i int) bool { // what is left to others, or was in when its partition went on in another generation
		pc := batch.consumers[i]
		return pc.gone || batch.entries[i].Offset < pc.at.Next
	}
	for i := range batch.consumers {
		if skip(i) {
			entries = make([]entry, 0, len(batch.entries))
			break
		}
	}
	for i, pc := range batch.consumers {
		if skip(i) {
			continue
		}
		if len(entries) < len(batch.entries) {
			entries = append(entries, batch.entries[i])
		}
		n := slices.Index(consumers, pc)
		if n < 0 {
			n = len(consumers)
			consumers = append(consumers, pc)
			moves = append(moves, Move{From: pc.at, To: pc.at})
		}
		moves[n].To.Next, moves[n].To.Digest = batch.entries[i].Offset+1, batch.entries[i].Digest
	}
	return moves, consumers, entries
}

// leave gives up the claims of partitions whose checkpoints others have moved.
func (b *batcher) leave(moved []int32, consumers []*partitionConsumer) {
	for _, pc := range consumers {
		if slices.Contains(moved, pc.claim.Partition) {
			b.engine.Logger.Warn("another process has moved the checkpoint; joining the group again",
				"read model", b.engine.Projection.Name, "partition", pc.claim.Partition)
			b.drop(pc)
			pc.claim.Abandon()
		}
	}
}

// done tells everyone that a batch is folded.
func (b *batcher) done(batch batch, moves []Move, consumers []*partitionConsumer, took time.Duration) {
	e := b.engine
	for i, pc := range consumers {
		to := moves[i].To
		pc.at = to
		pc.next.Set(to.Next)
		e.Waits.Moved(e.Store, e.Projection, to)
		pc.claim.Mark(to.Next)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop = nil
	b.folded, b.took = time.Now(), took
	for _, pc := range batch.consumers {
		<-pc.room
		pc.waiting--
		if pc.waiting == 0 && pc.closing && !pc.gone {
			close(pc.idle)
		}
	}
}

// close lets nothing more of a partition in line. The folder is idle when what
// is there is folded.
func (b *batcher) close(pc *partitionConsumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pc.gone || pc.closing {
		return
	}
	pc.closing = true
	if pc.waiting == 0 {
		close(pc.idle)
		return
	}
	b.urgent = true
	b.hurry()
}

// drop leaves what of a partition is in line to others. A transaction that is
// under way begins again without it.
func (b *batcher) drop(pc *partitionConsumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pc.gone || pc.closing && pc.waiting == 0 {
		return
	}
	pc.gone = true
	close(pc.idle)
	if b.stop != nil {
		b.stop()
	}
}
