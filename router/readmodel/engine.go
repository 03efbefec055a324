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

// Log is how a read model reads the log directly, without a subscription.
type Log interface {
	// Follow hands over the records of a partition from an offset on, and waits
	// for more until the context ends. Follow returns the error that ended it:
	// the context's, or an error of fn. The records belong to fn only until fn
	// returns.
	Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error
	// End is the offset after a partition's last record.
	End(ctx context.Context, partition int32) (int64, error)
	// At returns the record at an offset.
	At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error)
}

// Engine keeps one read model up with the log. The engine receives records from
// a Watermill subscription, for the partitions that the consumer group assigns
// to this process, starts at the store's checkpoints, and folds the records in
// batches.
type Engine struct {
	Projection *projection.Projection
	Store      Store
	Log        Log
	Events     projection.Decoder
	Partitions int32
	// BatchSize is the largest number of records in a transaction. Linger is
	// the longest time for which a batch waits for more records.
	BatchSize int
	Linger    time.Duration
	// Gather is how long records wait for more while no goroutine of this process
	// waits for the read model, at most Linger. The first to wait ends Gather. A
	// process in which nobody can wait needs 0: the waiters of other processes are
	// not known.
	Gather time.Duration
	// Pace, if not nil, is shared by the engines of a process on one store.
	Pace *Pace
	// Reading, if not nil, is shared by the engines of a process.
	Reading *SharedReading
	// Waits, if not nil, has the goroutines that wait for this read model.
	Waits  *Waits
	Logger *slog.Logger
	// Folded, if not nil, is called after each committed batch.
	Folded func(records int, took time.Duration)
	// Aged, if not nil, is called after each committed batch for each record: with
	// the time since a gateway accepted the command.
	Aged func(time.Duration)
	// Traced, if not nil, is called after each committed batch with traced
	// records: with these records, the number of records in the batch, and the
	// start time.
	Traced func(traced []*eventlog.Record, size int, began time.Time)
	// Stop is called once if another binary's generation is live, with a
	// definition that differs from this binary's. The engine folds no more
	// then.
	Stop func(error)

	mu        sync.Mutex
	consumers map[int32]*partitionConsumer
	behind    map[int32]int64 // how many records are missing, for partitions in a bulk catch-up
	catching  *catchUp        // nil if no partition is in a bulk catch-up
	beside    bool            // in a bulk catch-up another process has updated the read model
	batcher   *batcher
	stopped   sync.Once
}

// Setup implements [kafka.AssignmentHandler]: the assignment starts at the
// store's checkpoint. The group's committed offset is only a hint.
func (e *Engine) Setup(assignment *kafka.Assignment) (int64, error) {
	start, err := e.start(assignment)
	if err != nil {
		return 0, err
	}
	if start, err = e.catchUp(assignment, start); err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.consumers == nil {
		e.consumers, e.batcher = map[int32]*partitionConsumer{}, newBatcher(e)
	}
	e.consumers[assignment.Partition] = newPartitionConsumer(e.batcher, assignment, start)
	e.Waits.own(e.Store, e.Projection, assignment.Partition, true)
	return start.Next, nil
}

// start returns the partition's checkpoint. The log must still have the record
// before the checkpoint.
func (e *Engine) start(assignment *kafka.Assignment) (start Checkpoint, err error) {
	ctx := assignment.Context
	checkpoints, err := e.Store.Checkpoints(ctx, e.Projection)
	if err != nil {
		return start, err
	}
	start = checkpoints[assignment.Partition]
	return start, checkOrigin(ctx, e.Log, e.Projection, start)
}

// Cleanup implements [kafka.AssignmentHandler]. Queued records are folded if the
// store is fast enough: see [FlushTimeout].
func (e *Engine) Cleanup(assignment *kafka.Assignment) {
	e.mu.Lock()
	pc := e.consumers[assignment.Partition]
	delete(e.consumers, assignment.Partition)
	e.mu.Unlock()
	e.Waits.own(e.Store, e.Projection, assignment.Partition, false)
	if pc != nil {
		pc.close()
	}
}

// Handle takes a message with records of topic events, and returns when all
// records are queued. The store's checkpoint, not the acknowledgement, says
// which records are folded.
func (e *Engine) Handle(msg *message.Message) error {
	records := kafka.RecordsFromMessage(msg)
	for i := range records {
		e.take(&records[i])
	}
	return nil
}

// Take queues a record. Take waits while the queue has a full batch of the
// record's partition. A record of a partition without an assignment is dropped.
func (e *Engine) Take(r eventlog.Record) { e.take(&r) }

func (e *Engine) take(r *eventlog.Record) {
	e.mu.Lock()
	pc, shared := e.consumers[r.Partition], e.Reading
	e.mu.Unlock()
	if pc != nil {
		pc.add(reading{e.Projection, e.Events, shared}.entry(r))
	}
}

// Visible waits until the read model contains the record at an offset, or the
// context ends. Visible doesn't wait for partitions of other processes.
func (e *Engine) Visible(ctx context.Context, partition int32, offset int64) {
	e.mu.Lock()
	pc := e.consumers[partition]
	e.mu.Unlock()
	if pc != nil {
		pc.batcher.asked.add(1)
		defer pc.batcher.asked.add(-1)
		pc.next.Await(ctx, offset+1)
	}
}

// Ready returns nil once every assigned partition has reached the end that the
// log had at the call. If the context ends before, the error says how far the
// read model is behind.
func (e *Engine) Ready(ctx context.Context) error {
	e.mu.Lock()
	consumers, behind := maps.Clone(e.consumers), maps.Clone(e.behind)
	e.mu.Unlock()
	for partition, records := range behind {
		return fmt.Errorf("partition %d is %d records behind", partition, records)
	}
	// All at once: a busy broker takes too long to report one end after
	// another.
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

// tellFolded reports a committed batch.
func (e *Engine) tellFolded(entries []entry, began time.Time) {
	if e.Folded != nil && len(entries) > 0 {
		e.Folded(len(entries), time.Since(began))
	}
	if e.Aged != nil {
		now := time.Now()
		for i := range entries {
			if !entries[i].Time.IsZero() { // a message that is no record has no time
				e.Aged(max(0, now.Sub(entries[i].Time)))
			}
		}
	}
	if e.Traced == nil {
		return
	}
	var traced []*eventlog.Record
	for i := range entries {
		if entries[i].Trace != "" && !entries[i].other {
			traced = append(traced, entries[i].Record)
		}
	}
	if len(traced) > 0 {
		e.Traced(traced, len(entries), began)
	}
}
