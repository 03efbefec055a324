package decider

import (
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Meter counts commands and outcomes. The methods must not wait, and must cost
// next to nothing: Decided is called under a partition processor's lock.
type Meter interface {
	// Accepted counts a command of a client, once Kafka holds the command.
	Accepted(commandType string)
	// Decided counts the outcome of a command: an accepted record in a partition
	// that this process has claimed. The type is "" if the command has not come
	// to this process.
	Decided(commandType string, outcome *eventlog.Record)
	// Appended counts an append that has succeeded or failed.
	Appended(took time.Duration, err error)
	// DeadLettered counts a message that went to the dead letters.
	DeadLettered()
}

// Unmetered is a [Meter] that counts nothing.
type Unmetered struct{}

// Accepted implements [Meter].
func (Unmetered) Accepted(string) {}

// Decided implements [Meter].
func (Unmetered) Decided(string, *eventlog.Record) {}

// Appended implements [Meter].
func (Unmetered) Appended(time.Duration, error) {}

// DeadLettered implements [Meter].
func (Unmetered) DeadLettered() {}

// tally counts a partition's remembered outcomes, parked streams, deferred
// commands, and streams that this binary can't read, or whose commands wait for
// another binary.
type tally struct{ outcomes, parked, deferred, stopped, waiting int }

func (p *processor) tallyOf(s *stream) (t tally) {
	if s.parked {
		t.parked = 1
	}
	if s.unreadable != nil {
		t.stopped = 1
	}
	if s.waitsFor(p.registry) != "" {
		t.waiting = 1
	}
	t.deferred, t.outcomes = s.deferred.len(), len(s.outcomes)
	return t
}

func (t *tally) move(from, to tally) {
	t.outcomes += to.outcomes - from.outcomes
	t.parked += to.parked - from.parked
	t.deferred += to.deferred - from.deferred
	t.stopped += to.stopped - from.stopped
	t.waiting += to.waiting - from.waiting
}

// Stats is the size of a state store.
type Stats struct {
	Folded   int64 // records of the log
	Streams  int
	Outcomes int // remembered outcomes of all streams
	Parked   int // streams whose first deferred command waits for an operator
	Deferred int // deferred commands of all streams
	Stopped  int // streams with a record that this binary can't read
	Waiting  int // streams whose first deferred command waits for another binary
	Ignored  int // records that don't count, folded since the start
}

// Stats returns the size of the state store now. The cost doesn't depend on
// the number of streams.
func (ss *StateStore) Stats() (s Stats) {
	for _, p := range ss.processors {
		p.mu.Lock()
		s.Folded += p.folded.Next()
		s.Streams += len(p.streams)
		s.Outcomes += p.tally.outcomes
		s.Parked += p.tally.parked
		s.Deferred += p.tally.deferred
		s.Stopped += p.tally.stopped
		s.Waiting += p.tally.waiting
		s.Ignored += p.ignored
		p.mu.Unlock()
	}
	return s
}

// UnderWay counts the partitions of this process, and the commands that came
// in these partitions and are not marked.
func (d *Dispatcher) UnderWay() (partitions, commands int) {
	mailboxes := d.claims()
	for _, mailbox := range mailboxes {
		commands += mailbox.processor.underWay(mailbox.claimed)
	}
	return len(mailboxes), commands
}

// CommandTypes are the types of all commands that this binary decides: commands
// of the aggregates, and the operator's commands.
func CommandTypes(registry *aggregate.Registry) []string {
	return append(registry.CommandTypes(), operatorTypes...)
}
