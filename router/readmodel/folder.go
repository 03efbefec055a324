package readmodel

import (
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// FlushTimeout bounds the last batch of a partition that is taken away.
const FlushTimeout = 3 * time.Second

// folder is one claimed partition of a read model that is kept up: how far it
// is, and how much of it waits in the line.
type folder struct {
	line  *line
	claim *kafka.Claim
	next  progress
	room  chan struct{} // one for each record in line

	at      Checkpoint
	waiting int           // records in line, or in the batch under way
	closing bool          // nothing more is let in
	gone    bool          // what is in line is left to others
	idle    chan struct{} // closed when nothing is in line, or it is left to others
}

func newFolder(l *line, claim *kafka.Claim, at Checkpoint) *folder {
	f := &folder{
		line: l, claim: claim, at: at,
		room: make(chan struct{}, l.engine.BatchSize),
		idle: make(chan struct{}),
	}
	f.next.set(at.Next)
	return f
}

// add puts a record in line, and waits while the partition has a full batch
// there. One that comes after the partition is gone is dropped: it comes
// again, to its next owner.
func (f *folder) add(e entry) {
	if f.claim.Context.Err() != nil {
		return // as all that come after it: what is in line has no holes
	}
	select {
	case f.room <- struct{}{}:
		f.line.add(f, e)
	case <-f.claim.Context.Done():
	case <-f.idle:
	}
}

// close folds what is in line, if that can be done soon, and ends.
func (f *folder) close() {
	f.line.close(f)
	timer := time.NewTimer(FlushTimeout)
	defer timer.Stop()
	select {
	case <-f.idle:
	case <-timer.C:
		f.line.drop(f)
	}
}
