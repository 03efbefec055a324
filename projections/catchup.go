package projections

import (
	"context"

	"github.com/millrace/millrace/messaging"
)

const (
	// farBehind is how many records behind the log's end a claimed partition is
	// caught up in bulk. What is nearer comes by the subscription soon enough.
	farBehind = 5000
	// bulkBatch is about how many of its records are in a transaction then.
	bulkBatch = 2000
)

// catchUp folds a partition that is far behind, straight from the log: a
// subscription hands over its messages one by one. It returns where the
// subscription is to go on. What is folded by then stays, if it fails.
func (e *Engine) catchUp(ctx context.Context, at Checkpoint) (Checkpoint, error) {
	defer e.setBehind(at.Partition, 0)
	for {
		end, err := e.Log.End(ctx, at.Partition)
		if err != nil || end-at.Next < farBehind {
			return at, err
		}
		e.setBehind(at.Partition, end-at.Next)
		e.Logger.Info("catching up in bulk", "read model", e.Projection.Name, "partition", at.Partition, "records", end-at.Next)
		var batch []messaging.Record
		err = readRange(ctx, e.Log, at.Partition, at.Next, end, func(records []messaging.Record) error {
			batch = append(batch, records...)
			last := &batch[len(batch)-1]
			if len(batch) < bulkBatch && last.Offset < end-1 {
				return nil
			}
			to := at
			to.Next, to.Digest = last.Offset+1, last.Digest
			err := e.Store.Update(ctx, e.Projection, []Move{{at, to}}, func(tx Tx) error {
				return apply(ctx, tx, e.Projection, batch, e.Logger)
			})
			if err != nil {
				return err
			}
			at, batch = to, batch[:0]
			e.Waits.moved(e.Store, e.Projection, at)
			e.setBehind(at.Partition, end-at.Next)
			return nil
		})
		if err != nil {
			return at, err
		}
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
