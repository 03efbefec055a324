package readmodel

import (
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// FlushTimeout limits the last batch of a revoked partition.
const FlushTimeout = 3 * time.Second

// partitionConsumer is an assigned partition of a read model: the progress, and
// the state of the partition's records in the queue.
type partitionConsumer struct {
	batcher    *batcher
	assignment *kafka.Assignment
	next       eventlog.Progress
	room       chan struct{} // a token for each queued record

	at      Checkpoint
	waiting int           // records in the queue, or in the batch under way
	closing bool          // no more records are queued
	dropped bool          // the queued records are given up
	idle    chan struct{} // closed when no record is queued, or the records are given up
}

func newPartitionConsumer(b *batcher, assignment *kafka.Assignment, at Checkpoint) *partitionConsumer {
	pc := &partitionConsumer{
		batcher: b, assignment: assignment, at: at,
		room: make(chan struct{}, b.engine.BatchSize),
		idle: make(chan struct{}),
	}
	pc.next.Set(at.Next)
	return pc
}

// add queues a record, and waits while a full batch of the partition is queued.
// A record after the end of the assignment is dropped: the next owner receives
// the record again.
func (pc *partitionConsumer) add(e entry) {
	if pc.assignment.Context.Err() != nil {
		return // as all later records: the queue has no gaps
	}
	select {
	case pc.room <- struct{}{}:
		pc.batcher.add(pc, e)
	case <-pc.assignment.Context.Done():
	case <-pc.idle:
	}
}

// close folds the queued records, if the store is fast enough, and ends the
// consumer.
func (pc *partitionConsumer) close() {
	pc.batcher.close(pc)
	timer := time.NewTimer(FlushTimeout)
	defer timer.Stop()
	select {
	case <-pc.idle:
	case <-timer.C:
		pc.batcher.drop(pc)
	}
}
