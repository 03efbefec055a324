package readmodel

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
)

// Log is what a read model asks the log beside its subscription.
type Log interface {
	// Follow hands over the records of a partition, from an offset on, as they
	// come, until the context ends, and returns why it ended. fn has them only
	// until it returns.
	Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error
	// End is the offset after a partition's last record.
	End(ctx context.Context, partition int32) (int64, error)
	// At returns the record at an offset.
	At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error)
}

// Engine keeps one read model up with the log: it takes records from a
// Watermill subscription, in the partitions that the group hands to this
// process, from the store's checkpoints on, and folds them in batches.
type Engine struct {
	Projection *projection.Projection
	Store      Store
	Log        Log
	Events     projection.Decoder
	Partitions int32
	// BatchSize is the most records in a transaction, and Linger how long a
	// batch waits to be filled.
	BatchSize int
	Linger    time.Duration
	// Waits, if not nil, are those who wait for this read model.
	Waits  *Waits
	Logger *slog.Logger
	// Folded, if not nil, is told of each batch that is in.
	Folded func(records int, took time.Duration)
	// Traced, if not nil, is told of each batch that has traced records in it:
	// of those, of the size of the batch, and when it began.
	Traced func(traced []*eventlog.Record, size int, began time.Time)
	// Stop is called once, if the live generation turns out to be another
	// binary's: this one folds the read model no more.
	Stop func(error)

	mu        sync.Mutex
	consumers map[int32]*partitionConsumer
	behind    map[int32]int64 // the partitions that are caught up in bulk
	turns     chan struct{}   // to do so
	batcher   *batcher
	stopped   sync.Once
}

// Setup implements [kafka.ClaimHandler]: it seeks the claim to the
// store's checkpoint. The group's committed offset is only a hint.
func (e *Engine) Setup(claim *kafka.Claim) (int64, error) {
	start, err := e.start(claim)
	if err != nil {
		return 0, err
	}
	if start, err = e.catchUp(claim.Context, start); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.consumers == nil {
		e.consumers, e.batcher = map[int32]*partitionConsumer{}, newBatcher(e)
	}
	e.consumers[claim.Partition] = newPartitionConsumer(e.batcher, claim, start)
	return start.Next, nil
}

// start is the partition's checkpoint. The log must still have the record that
// it stands behind.
func (e *Engine) start(claim *kafka.Claim) (start Checkpoint, err error) {
	ctx := claim.Context
	checkpoints, err := e.Store.Checkpoints(ctx, e.Projection)
	if err != nil {
		return start, err
	}
	start = checkpoints[claim.Partition]
	return start, checkOrigin(ctx, e.Log, e.Projection, start)
}

// Cleanup implements [kafka.ClaimHandler]: what has come is folded, if
// that can be done soon.
func (e *Engine) Cleanup(claim *kafka.Claim) {
	e.mu.Lock()
	pc := e.consumers[claim.Partition]
	delete(e.consumers, claim.Partition)
	e.mu.Unlock()
	if pc != nil {
		pc.close()
	}
}

// Handle takes a message with records of topic events. It returns when they
// are in line; the store's checkpoint, not the ack, says what is done.
func (e *Engine) Handle(msg *message.Message) error {
	for _, r := range kafka.RecordsFromMessage(msg) {
		e.Take(r)
	}
	return nil
}

// Take puts a record in line, and waits while the line is full. One of a
// partition that this process doesn't have is dropped.
func (e *Engine) Take(r eventlog.Record) {
	e.mu.Lock()
	pc := e.consumers[r.Partition]
	e.mu.Unlock()
	if pc != nil {
		pc.add(reading{e.Projection, e.Events}.entry(r))
	}
}

// Visible waits until the read model has what stands at a place in the log, or
// the context ends. A partition that another process has is not waited for.
func (e *Engine) Visible(ctx context.Context, partition int32, offset int64) {
	e.mu.Lock()
	pc := e.consumers[partition]
	e.mu.Unlock()
	if pc != nil {
		pc.next.Await(ctx, offset+1)
	}
}

// Ready says why the read model is not up with the log, or nil: every
// partition that this process has must come to where the log ends now, while
// the context lasts.
func (e *Engine) Ready(ctx context.Context) error {
	e.mu.Lock()
	consumers, behind := maps.Clone(e.consumers), maps.Clone(e.behind)
	e.mu.Unlock()
	for partition, records := range behind {
		return fmt.Errorf("partition %d is %d records behind", partition, records)
	}
	// All at once: one after the other, a busy broker takes longer to say where
	// they end than whoever asks has patience.
	var asked errgroup.Group
	for partition, pc := range consumers {
		asked.Go(func() error {
			end, err := e.Log.End(ctx, partition)
			if err != nil {
				return err
			}
			if !pc.next.Await(ctx, end) {
				return fmt.Errorf("partition %d is %d records behind", partition, end-pc.next.Next())
			}
			return nil
		})
	}
	return asked.Wait()
}

// tellFolded tells of a batch that is in.
func (e *Engine) tellFolded(entries []entry, began time.Time) {
	if e.Folded != nil && len(entries) > 0 {
		e.Folded(len(entries), time.Since(began))
	}
	if e.Traced == nil {
		return
	}
	var traced []*eventlog.Record
	for i := range entries {
		if entries[i].Trace != "" && !entries[i].other {
			traced = append(traced, &entries[i].Record)
		}
	}
	if len(traced) > 0 {
		e.Traced(traced, len(entries), began)
	}
}
