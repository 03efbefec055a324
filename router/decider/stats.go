package decider

import (
	"errors"
	"time"

	"github.com/millrace/millrace/router/aggregate"
)

// tally counts a partition's streams, remembered outcomes, parked streams,
// deferred commands, and streams that this binary can't read, or whose commands
// wait for another binary. Broken streams can't be read for another reason than
// an unknown event. Unclaimed streams hold values that nobody has taken.
type tally struct {
	Streams, Outcomes, Parked, Deferred, Stopped, Broken, Waiting, Unclaimed, Scheduled int
}

func (p *processor) tallyOf(s *stream) (t tally) {
	if s == nil {
		return t
	}
	t.Streams = 1
	if s.parked {
		t.Parked = 1
	}
	if s.unreadable != nil {
		t.Stopped = 1
		if !errors.Is(s.unreadable, aggregate.ErrUnknownEvent) {
			t.Broken = 1
		}
	}
	if s.waitsFor(p.registry) != "" {
		t.Waiting = 1
	}
	if len(s.unclaimed()) > 0 {
		t.Unclaimed = 1
	}
	t.Deferred, t.Outcomes, t.Scheduled = s.deferred.len(), s.outcomes.len(), s.schedule.len()
	return t
}

func (t *tally) move(from, to tally) {
	t.Streams += to.Streams - from.Streams
	t.Outcomes += to.Outcomes - from.Outcomes
	t.Parked += to.Parked - from.Parked
	t.Deferred += to.Deferred - from.Deferred
	t.Stopped += to.Stopped - from.Stopped
	t.Broken += to.Broken - from.Broken
	t.Waiting += to.Waiting - from.Waiting
	t.Unclaimed += to.Unclaimed - from.Unclaimed
	t.Scheduled += to.Scheduled - from.Scheduled
}

// Stats is the size of a state store.
type Stats struct {
	Folded    int64 // records of the log
	Streams   int
	Outcomes  int // remembered outcomes of all streams
	Parked    int // streams whose first deferred command waits for an operator
	Deferred  int // deferred commands of all streams
	Stopped   int // streams with a record that this binary can't read
	Waiting   int // streams whose first deferred command waits for another binary
	Scheduled int // scheduled commands of all streams
	Ignored   int // records that don't count, folded since the start

	Cached      int   // streams in memory
	CachedBytes int   // their bytes, an estimate
	Unwritten   int   // streams in memory that no batch has written yet
	Hits        int64 // looks for streams that found all in memory, since the start
	Misses      int64 // reads of a stream, or of older outcomes, from disk, since the start
}

// Stats returns the size of the state store now. The cost doesn't depend on
// the number of streams.
func (ss *StateStore) Stats() (s Stats) {
	for _, p := range ss.processors {
		p.mu.Lock()
		s.Folded += p.folded.Next()
		s.Streams += p.tally.Streams
		s.Outcomes += p.tally.Outcomes
		s.Parked += p.tally.Parked
		s.Deferred += p.tally.Deferred
		s.Stopped += p.tally.Stopped
		s.Waiting += p.tally.Waiting
		s.Scheduled += p.tally.Scheduled
		s.Ignored += p.ignored
		s.Cached += len(p.streams)
		s.CachedBytes += p.size
		s.Unwritten += len(p.changed) + len(p.writing)
		s.Hits += p.hits
		s.Misses += p.misses
		p.mu.Unlock()
	}
	return s
}

// Late is how late the oldest due command of the partitions of this process is, 0
// if none is due.
func (d *Dispatcher) Late() (late time.Duration) {
	for _, mailbox := range d.assignments() {
		late = max(late, mailbox.processor.late(mailbox.assigned))
	}
	return late
}

func (p *processor) late(c *assigned) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return c.late
}

// UnderWay counts the partitions of this process, and the commands that came
// in these partitions and are not marked.
func (d *Dispatcher) UnderWay() (partitions, commands int) {
	mailboxes := d.assignments()
	for _, mailbox := range mailboxes {
		commands += mailbox.processor.underWay(mailbox.assigned)
	}
	return len(mailboxes), commands
}

// CommandTypes are the types of all commands that this binary decides: commands
// of the aggregates, and the operator's commands.
func CommandTypes(registry *aggregate.Registry) []string {
	return append(registry.CommandTypes(), machineTypes...)
}
