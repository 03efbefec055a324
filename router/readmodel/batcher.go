package readmodel

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// batcher is the queue of a read model: the records of all assigned partitions,
// in order of arrival. A batch is one transaction, whatever the partitions of
// the records. While a transaction is under way, the next batch gathers.
type batcher struct {
	engine *Engine
	pace   *Pace
	asked  *asked
	wake   chan struct{} // ends linger early
	timer  *time.Timer   // of linger

	mu      sync.Mutex
	waiting batch
	spare   batch     // the memory of the last batch
	since   time.Time // when the first waiting record came
	running bool
	urgent  bool               // a caller waits for the queue to be empty
	folded  time.Time          // when the last batch was committed
	stop    context.CancelFunc // cancels the transaction under way, nil if there is none
}

// batch is a list of records, with the consumer of each record.
type batch struct {
	entries   []entry
	consumers []*partitionConsumer
}

// empty is the memory of a batch.
func (b batch) empty() batch { return batch{b.entries[:0], b.consumers[:0]} }

func newBatcher(e *Engine) *batcher {
	b := &batcher{engine: e, pace: e.Pace, asked: new(asked), wake: make(chan struct{}, 1), timer: time.NewTimer(0)}
	if b.pace == nil {
		b.pace = new(Pace)
	}
	if e.Waits != nil {
		b.asked = &e.Waits.Of(e.Store, e.Projection).asked
	}
	return b
}

// add queues a record.
func (b *batcher) add(pc *partitionConsumer, e entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pc.closing || pc.dropped {
		return
	}
	pc.waiting++
	if b.waiting.entries == nil {
		b.waiting, b.spare = b.spare, batch{}
	}
	if len(b.waiting.entries) == 0 {
		b.since = time.Now()
	}
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

// hurry ends linger early: the current call, or the next call.
func (b *batcher) hurry() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// run folds batches until the queue is empty.
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

// take removes the next batch from the queue. An empty batch means that the
// goroutine of run ends.
func (b *batcher) take() (next batch) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting.entries), b.engine.BatchSize)
	next = batch{b.waiting.entries[:n], b.waiting.consumers[:n]}
	if n < len(b.waiting.entries) { // the rest has memory of its own: next's is used again
		b.waiting, b.since = batch{slices.Clone(b.waiting.entries[n:]), slices.Clone(b.waiting.consumers[n:])}, time.Now()
		return next
	}
	b.waiting, b.urgent = batch{}, false
	b.running = n > 0
	return next
}

// commit folds a batch, and tries until the batch is committed. Only records of
// partitions that this process has lost are skipped.
func (b *batcher) commit(batch batch) {
	began := time.Now()
	for try := 0; ; try++ {
		ctx, cancel := context.WithCancel(context.Background())
		moves, consumers, entries := b.begin(batch, cancel)
		tried := time.Now()
		folded, err := b.fold(ctx, moves, entries)
		if err == nil {
			cancel()
			b.pace.done(time.Since(tried), len(entries))
			b.engine.tellFolded(entries, began)
			b.done(batch, moves, consumers, folded)
			return
		}
		if moved := (*MovedError)(nil); errors.As(err, &moved) {
			b.leave(b.continueInLive(moved.Partitions, consumers), consumers)
		} else if errors.Is(err, ErrOtherDefinition) {
			b.stopAll(consumers, err)
		} else if ctx.Err() == nil {
			b.engine.Logger.Warn("can't write to the store; trying again", "read model", b.engine.Projection.Name, "error", err)
			_ = kafka.Backoff(ctx, try) // ends early when a partition is revoked: the others can continue
		}
		cancel()
	}
}

// fold folds records in one transaction, and returns the fold.
func (b *batcher) fold(ctx context.Context, moves []Move, entries []entry) (folded *fold, err error) {
	if len(moves) == 0 {
		return nil, nil
	}
	if old := ofOldGenerations(moves); len(old) > 0 {
		return nil, &MovedError{Partitions: old}
	}
	return b.update(ctx, moves, entries)
}

// update folds a batch in one transaction. The fold of the batch before goes on,
// if nobody else has written meanwhile: then its heads and rows are the store's.
//
// A stream whose first record is in the batch is not looked up. If the store has
// a head, the transaction fails, and update folds once more without guesses.
func (b *batcher) update(ctx context.Context, moves []Move, entries []entry) (folded *fold, err error) {
	e := b.engine
	for guesses := true; ; guesses = false {
		err = e.Store.Update(ctx, e.Projection, moves, aheadOf(e.Projection, entries, guesses), func(tx Tx) error {
			folded = continued(tx, e)
			folded.guesses = guesses
			if err := folded.commit(ctx, tx, entries); err != nil {
				return err
			}
			if !folded.parks { // the store may have changed the reason
				tx.Keep(folded)
			}
			return nil
		})
		if !guesses || !errors.Is(err, ErrHeadExists) {
			return folded, err
		}
	}
}

// continued is the fold of the last update, or a new fold.
func continued(tx Tx, e *Engine) *fold {
	kept, _ := tx.Kept().(*fold)
	if kept == nil || kept.projection != e.Projection {
		return newFold(e.Projection, e.Logger)
	}
	kept.flushed()
	kept.keep(keptMost)
	return kept
}

// ofOldGenerations returns the partitions whose checkpoints are of an older
// generation than the newest checkpoint among the moves.
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

// begin returns the work of a batch: the checkpoint moves of the partitions
// that this process still has, and their records.
func (b *batcher) begin(batch batch, stop context.CancelFunc) (moves []Move, consumers []*partitionConsumer, entries []entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop = stop
	entries = batch.entries
	skip := func(i int) bool { // revoked, or folded already when the partition continued in another generation
		pc := batch.consumers[i]
		return pc.dropped || batch.entries[i].Offset < pc.at.Next
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

// leave abandons the assignments of partitions whose checkpoints have moved.
// Another process has moved the checkpoints, or this one has, in an update
// whose answer was lost with the connection.
func (b *batcher) leave(moved []int32, consumers []*partitionConsumer) {
	for _, pc := range consumers {
		if slices.Contains(moved, pc.assignment.Partition) {
			b.engine.Logger.Info("the checkpoint has moved (an update whose answer was lost, or another process); joining the group again",
				"read model", b.engine.Projection.Name, "partition", pc.assignment.Partition)
			b.drop(pc)
			pc.assignment.Abandon()
		}
	}
}

// done reports a committed batch to the waiters and to the group.
func (b *batcher) done(batch batch, moves []Move, consumers []*partitionConsumer, folded *fold) {
	e := b.engine
	e.Waits.folded(e.Store, e.Projection, batch.entries, moves, folded)
	for i, pc := range consumers {
		to := moves[i].To
		pc.at = to
		pc.next.Set(to.Next)
		pc.assignment.Mark(to.Next)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop = nil
	b.folded = time.Now()
	for _, pc := range batch.consumers {
		<-pc.room
		pc.waiting--
		if pc.waiting == 0 && pc.closing && !pc.dropped {
			close(pc.idle)
		}
	}
	if cap(batch.entries) > keptMost {
		return
	}
	clear(batch.entries)
	clear(batch.consumers)
	b.spare = batch.empty()
}

// close queues no more records of a partition. The consumer is idle when the
// queued records are folded.
func (b *batcher) close(pc *partitionConsumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pc.dropped || pc.closing {
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

// drop gives up the queued records of a partition. A transaction under way
// starts again without the records.
func (b *batcher) drop(pc *partitionConsumer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if pc.dropped || pc.closing && pc.waiting == 0 {
		return
	}
	pc.dropped = true
	close(pc.idle)
	if b.stop != nil {
		b.stop()
	}
}
