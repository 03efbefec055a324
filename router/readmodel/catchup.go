package readmodel

import (
	"context"

	"github.com/millrace/millrace/router/eventlog"
)

const (
	// farBehind is how many records behind the log's end a claimed partition is
	// caught up in bulk. What is nearer comes by the subscription soon enough.
	farBehind = 5000
	// bulkBatch is about how many of its records are in a transaction then: the
	// more there are, the fewer of the store's pages are written again and again.
	bulkBatch = 10_000
	// bulkBeside is how many partitions are caught up at a time. More would take
	// memory, and no less time: the store takes one transaction after the other.
	bulkBeside = 2
)

// catchUp folds a partition that is far behind, straight from the log: a
// subscription hands over its messages one by one. It returns where the
// subscription is to go on. What is folded by then stays, if it fails.
func (e *Engine) catchUp(ctx context.Context, at Checkpoint) (Checkpoint, error) {
	defer e.setBehind(at.Partition, 0)
	var heads *written
	if at.Next == 0 { // no stream of this partition has a head yet
		heads = newWritten()
	}
	for {
		end, err := e.Log.End(ctx, at.Partition)
		if err != nil || end-at.Next < farBehind {
			return at, err
		}
		e.setBehind(at.Partition, end-at.Next)
		over, err := e.turn(ctx)
		if err != nil {
			return at, err
		}
		e.Logger.Info("catching up in bulk", "read model", e.Projection.Name, "partition", at.Partition, "records", end-at.Next)
		at, err = e.foldTo(ctx, at, end, heads)
		over()
		if err != nil {
			return at, err
		}
	}
}

// foldTo folds a partition up to an offset. Streams that heads doesn't have have
// none in the store.
func (e *Engine) foldTo(ctx context.Context, at Checkpoint, end int64, heads *written) (Checkpoint, error) {
	var batch []entry
	err := readRange(ctx, e.Log, at.Partition, at.Next, end, func(records []eventlog.Record) error {
		batch = reading{e.Projection, e.Events}.entries(batch, records)
		last := &batch[len(batch)-1]
		if len(batch) < bulkBatch && last.Offset < end-1 {
			return nil
		}
		to := at
		to.Next, to.Digest = last.Offset+1, last.Digest
		err := e.Store.Update(ctx, e.Projection, []Move{{at, to}}, func(tx Tx) error {
			f := newFold(e.Projection, e.Logger)
			f.written = heads
			return f.commit(ctx, tx, batch)
		})
		if err != nil {
			return err
		}
		clear(batch)
		at, batch = to, batch[:0]
		e.Waits.Moved(e.Store, e.Projection, at)
		e.setBehind(at.Partition, end-at.Next)
		return nil
	})
	return at, err
}

// turn waits until fewer partitions than may be are caught up.
func (e *Engine) turn(ctx context.Context) (over func(), err error) {
	e.mu.Lock()
	if e.turns == nil {
		e.turns = make(chan struct{}, bulkBeside)
	}
	turns := e.turns
	e.mu.Unlock()
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// setBehind says how many records a partition lacks that is caught up in bulk.
func (e *Engine) setBehind(partition int32, records int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if records == 0 {
		delete(e.behind, partition)
		return
	}
	if e.behind == nil {
		e.behind = map[int32]int64{}
	}
	e.behind[partition] = records
}
