package readmodel

import (
	"context"
	"slices"

	"github.com/millrace/millrace/router/eventlog"
)

const (
	// farBehind is the number of missing records at which a claimed partition
	// is caught up in bulk. The subscription is fast enough for fewer records.
	farBehind = 5000
	// bulkBatch is the number of records in a transaction of a bulk catch-up.
	// Larger transactions write the same page of the store less often.
	bulkBatch = 10_000
	// bulkBeside is the number of partitions in a bulk catch-up at a time. More
	// partitions would take memory and save no time, because the store runs one
	// transaction after the other.
	bulkBeside = 2
)

// catchUp folds a partition that is far behind straight from the log, because a
// subscription hands over messages one by one. catchUp returns the checkpoint
// where the subscription starts. After an error the committed transactions
// stay.
func (e *Engine) catchUp(ctx context.Context, at Checkpoint) (Checkpoint, error) {
	defer e.setBehind(at.Partition, 0)
	fresh := at.Next == 0 // no stream of this partition has a head yet
	var heads *written
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
		if fresh && heads == nil {
			heads = newWritten()
		}
		e.Logger.Info("catching up in bulk", "read model", e.Projection.Name, "partition", at.Partition, "records", end-at.Next)
		at, err = e.foldTo(ctx, at, end, heads)
		over()
		if err != nil {
			return at, err
		}
	}
}

// foldTo folds a partition up to an offset. Streams outside the filter heads
// have no head in the store.
func (e *Engine) foldTo(ctx context.Context, at Checkpoint, end int64, heads *written) (Checkpoint, error) {
	var batch []entry
	err := readRange(ctx, e.Log, at.Partition, at.Next, end, func(records []eventlog.Record) error {
		batch = reading{e.Projection, e.Events}.entries(batch, slices.Clone(records))
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

// turn waits until fewer than bulkBeside partitions are in a bulk catch-up.
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

// setBehind notes how many records a partition in a bulk catch-up lacks.
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
