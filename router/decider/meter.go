package decider

import (
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Meter is told what becomes of commands, as it happens. It waits for nothing,
// and costs next to nothing: some of it is called under a partition's lock.
type Meter interface {
	// Accepted is told of a command that Kafka holds for a client.
	Accepted(commandType string)
	// Decided is told of each accepted record in the partitions that this
	// process has: a command's outcome. The type is "" if the command has not
	// come to this process.
	Decided(commandType string, outcome *eventlog.Record)
	// Appended is told how an append went.
	Appended(took time.Duration, err error)
	// DeadLettered is told of each message that went to the dead letters.
	DeadLettered()
}

// Unmetered is who measures nothing.
type Unmetered struct{}

// Accepted implements [Meter].
func (Unmetered) Accepted(string) {}

// Decided implements [Meter].
func (Unmetered) Decided(string, *eventlog.Record) {}

// Appended implements [Meter].
func (Unmetered) Appended(time.Duration, error) {}

// DeadLettered implements [Meter].
func (Unmetered) DeadLettered() {}

// tally counts the outcomes that a partition's streams remember, the streams
// that do not go on, and the commands that wait in them.
type tally struct{ outcomes, parked, deferred, stopped int }

func tallyOf(s *stream) (t tally) {
	if s.parked {
		t.parked = 1
	}
	if s.unreadable != nil {
		t.stopped = 1
	}
	t.deferred, t.outcomes = s.deferred.len(), len(s.outcomes)
	return t
}

func (t *tally) move(from, to tally) {
	t.outcomes += to.outcomes - from.outcomes
	t.parked += to.parked - from.parked
	t.deferred += to.deferred - from.deferred
	t.stopped += to.stopped - from.stopped
}

// Stats is how the ledger stands.
type Stats struct {
	Folded   int64 // records of the log
	Streams  int
	Outcomes int // of their last commands, as many as are remembered
	Parked   int // streams whose first held command waits for an operator
	Deferred int // commands that wait
	Stopped  int // streams with a record that this binary can't read
}

// Stats returns how the ledger stands now. It looks at no stream.
func (ss *StateStore) Stats() (s Stats) {
	for _, pt := range ss.partitions {
		pt.mu.Lock()
		s.Folded += pt.next
		s.Streams += len(pt.streams)
		s.Outcomes += pt.tally.outcomes
		s.Parked += pt.tally.parked
		s.Deferred += pt.tally.deferred
		s.Stopped += pt.tally.stopped
		pt.mu.Unlock()
	}
	return s
}

// UnderWay is how many partitions this process has, and how many commands of
// them have come and are not done.
func (d *Dispatcher) UnderWay() (partitions, commands int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, mailbox := range d.mailboxes {
		commands += len(mailbox.room)
	}
	return len(d.mailboxes), commands
}

// CommandTypes are the types of commands that this binary decides: those of the
// aggregates, and the operator's.
func CommandTypes(registry *aggregate.Registry) []string {
	return append(registry.CommandTypes(), operatorTypes...)
}
