package readmodel

import (
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// FlushTimeout bounds the last batch of a partition that is taken away.
const FlushTimeout = 3 * time.Second

// partitionConsumer is one claimed partition of a read model that is kept up: how far it
// is, and how much of it waits in the line.
type partitionConsumer struct {
	batcher *batcher
	claim   *kafka.Claim
	next    eventlog.Progress
	room    chan struct{} // one for each record in line

	at      Checkpoint
	waiting int           // records in line, or in the batch under way
	closing bool          // nothing more is let in
	gone    bool          // what is in line is left to others
	idle    chan struct{} // closed when nothing is in line, or it is left to others
}

func newPartitionConsumer(b *batcher, claim *kafka.Claim, at Checkpoint) *partitionConsumer {
	pc := &partitionConsumer{
		batcher: b, claim: claim, at: at,
		room: make(chan struct{}, b.engine.BatchSize),
		idle: make(chan struct{}),
	}
	pc.next.Set(at.Next)
	return pc
}

// add puts a record in line, and waits while the partition has a full batch
// there. One that comes after the partition is gone is dropped: it comes
// again, to its next owner.
func (pc *partitionConsumer) add(e entry) {
	if pc.claim.Context.Err() != nil {
		return // as all that come after it: what is in line has no holes
	}
	select {
	case pc.room <- struct{}{}:
		pc.batcher.add(pc, e)
	case <-pc.claim.Context.Done():
	case <-pc.idle:
	}
}

// close folds what is in line, if that can be done soon, and ends.
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
