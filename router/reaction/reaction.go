package reaction

import (
	"slices"
	"time"

	"github.com/millrace/millrace/router/aggregate"
)

// Reaction answers records with commands.
type Reaction struct {
	// Name names the reaction on the wire, such as "transfers": lower-case
	// letters, digits and hyphens. The name never changes after a release. A
	// reaction that would answer old records otherwise gets a new name.
	Name string
	// Of names the aggregates whose events reach React, such as "transfer"; empty
	// for all aggregates. The ends of the reaction's own commands reach React in
	// any case.
	Of []string
	// FromBeginning starts a new reaction at the first record of the log. By
	// default a new reaction starts at the log's end, and answers nothing older.
	FromBeginning bool
	// React returns the commands that a record causes, in order; none for most
	// records. React must be pure: no clock, no random numbers, no input or
	// output. The router asks again after a crash, and the answer must be the
	// same. An error or a panic parks the stream of the record in this reaction.
	React func(Record) ([]Command, error)
}

// IsOf reports whether the events of a stream reach React.
func (r *Reaction) IsOf(stream string) bool {
	if len(r.Of) == 0 {
		return true
	}
	name, _, ok := aggregate.SplitStream(stream)
	return ok && slices.Contains(r.Of, name)
}

// Record is a record of the log that counts: an event, or the end of a command
// that this reaction sent.
type Record struct {
	// Stream is the name of the stream, "<aggregate>/<id>".
	Stream string
	// AggregateID is the id in the stream's name.
	AggregateID string
	// Seq is the sequence number in the stream, from 1, and Version the stream's
	// version after the record.
	Seq, Version uint64
	// Time is when the command of the record was accepted, or its NotBefore, in
	// UTC, to the millisecond.
	Time time.Time
	// Event is the event in today's form, a pointer to the aggregate's type. Event
	// is nil for the end of a command.
	Event aggregate.AnyEvent
	// Ended is the end of a command, nil for an event.
	Ended *Ended
}

// Ended says that a command which this reaction sent ended without an event.
// The end of a cancel is not told.
type Ended struct {
	// Command is the command as the reaction sent it, a pointer to the aggregate's
	// type.
	Command aggregate.AnyCommand
	// Refusal is the slug of the rule that refused the command, "" if the command
	// had nothing to change. Refusals of the router are [Dropped], [Cancelled] and
	// [aggregate.SlugVersionMismatch].
	Refusal string
	// Detail says the rule in words.
	Detail string
}

// Refusals of the router, beside [aggregate.SlugVersionMismatch].
const (
	Dropped   = "command-dropped"   // an operator has dropped the parked command
	Cancelled = "command-cancelled" // the scheduled command was cancelled
)

// Command is a command that a reaction sends.
type Command struct {
	// Command is a command of an aggregate: a struct, or a pointer to a struct.
	Command aggregate.AnyCommand
	// ExpectedVersion is the stream's version before the command (0: the stream
	// must not exist); nil allows any version.
	ExpectedVersion *uint64
	// NotBefore is the earliest time of the decision, to the millisecond, at most
	// ten years away; the zero time, and a time that has passed, is now.
	NotBefore time.Time
	// Cancel cancels a scheduled command instead of sending Command: of the
	// commands of Command's type that this reaction has scheduled in the stream of
	// Command, the command that is due first. Other fields of Command don't matter.
	Cancel bool
}

// Send is a command to decide now.
func Send(c aggregate.AnyCommand) Command { return Command{Command: c} }

// Later is a command to decide at a time, or at once if the time has passed.
func Later(c aggregate.AnyCommand, at time.Time) Command { return Command{Command: c, NotBefore: at} }

// Cancel cancels a command of this type that this reaction has scheduled in the
// stream of c.
func Cancel(c aggregate.AnyCommand) Command { return Command{Command: c, Cancel: true} }
