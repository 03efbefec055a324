package projections

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/messaging"
)

// FlushTimeout bounds the last batch of a partition that is taken away.
const FlushTimeout = 3 * time.Second

// folder folds one claimed partition into a read model, a batch a
// transaction.
type folder struct {
	engine  *Engine
	claim   *messaging.Claim
	at      Checkpoint
	next    progress
	folded  time.Time // when the last batch was
	records chan messaging.Record
	closing chan struct{}
	closed  chan struct{}
}

func newFolder(e *Engine, claim *messaging.Claim, at Checkpoint) *folder {
	f := &folder{
		engine: e, claim: claim, at: at,
		records: make(chan messaging.Record, e.BatchSize),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	f.next.set(at.Next)
	return f
}

// add puts a record in line, and waits while the line is full. One that comes
// after the partition is gone is dropped: it comes again, to its next owner.
func (f *folder) add(r messaging.Record) {
	select {
	case f.records <- r:
	case <-f.claim.Context.Done():
	case <-f.closing:
	case <-f.closed:
	}
}

func (f *folder) run() {
	defer close(f.closed)
	// The batch under way may still commit when the partition is taken away.
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.claim.Context))
	defer cancel()
	go func() {
		select {
		case <-f.closing:
			timer := time.NewTimer(FlushTimeout)
			defer timer.Stop()
			select {
			case <-timer.C:
				cancel()
			case <-f.closed:
			}
		case <-f.closed:
		}
	}()
	for {
		batch, more := f.batch()
		if len(batch) > 0 && !f.commit(ctx, batch) {
			return
		}
		if !more {
			return
		}
	}
}

// batch gathers records until it is full, or the partition is taken away, or
// it has lingered. It lingers only when the one before has just been folded:
// a record that comes alone is folded at once.
func (f *folder) batch() (batch []messaging.Record, more bool) {
	select {
	case r := <-f.records:
		batch = append(batch, r)
	case <-f.closing:
		return f.rest(nil), false
	}
	wait := f.engine.Linger - time.Since(f.folded)
	if wait <= 0 {
		return f.fill(batch), true
	}
	linger := time.NewTimer(wait)
	defer linger.Stop()
	for len(batch) < f.engine.BatchSize {
		select {
		case r := <-f.records:
			batch = append(batch, r)
		case <-linger.C:
			return batch, true
		case <-f.closing:
			return f.rest(batch), false
		}
	}
	return batch, true
}

// fill adds what is in line already, up to a full batch.
func (f *folder) fill(batch []messaging.Record) []messaging.Record {
	for len(batch) < f.engine.BatchSize {
		select {
		case r := <-f.records:
			batch = append(batch, r)
		default:
			return batch
		}
	}
	return batch
}

// rest adds all that is in line already.
func (f *folder) rest(batch []messaging.Record) []messaging.Record {
	for {
		select {
		case r := <-f.records:
			batch = append(batch, r)
		default:
			return batch
		}
	}
}

// commit folds a batch, and tries until it is done: nothing is skipped. It
// says whether the folder may go on.
func (f *folder) commit(ctx context.Context, batch []messaging.Record) bool {
	e := f.engine
	last := &batch[len(batch)-1]
	to := f.at
	to.Next, to.Digest = last.Offset+1, last.Digest
	for try := 0; ; try++ {
		err := e.Store.Update(ctx, e.Projection, []Move{{f.at, to}}, func(tx Tx) error {
			return apply(ctx, tx, e.Projection, batch, e.Logger)
		})
		switch {
		case err == nil:
			f.at = to
			f.next.set(to.Next)
			e.Waits.moved(e.Store, e.Projection, to)
			f.folded = time.Now()
			f.claim.Mark(to.Next)
			return true
		case errors.Is(err, ErrCheckpointMoved):
			e.Logger.Warn("another process has moved the checkpoint; joining the group again", "read model", e.Projection.Name, "partition", f.at.Partition)
			f.claim.Abandon()
			return false
		case ctx.Err() != nil:
			return false
		}
		e.Logger.Warn("can't write to the store; trying again", "read model", e.Projection.Name, "partition", f.at.Partition, "error", err)
		if messaging.Backoff(ctx, try) != nil {
			return false
		}
	}
}

// close folds what is in line, and ends.
func (f *folder) close() {
	close(f.closing)
	<-f.closed
}
