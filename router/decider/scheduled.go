package decider

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/tidwall/btree"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// A command whose notBefore is after its acceptance is scheduled: the log keeps
// the command beside its stream, and other commands go on. Which command is due
// follows from the stream and the clock at each look, never from a timer that was
// set: nothing is lost when the clock jumps, or when another process takes over.

// scheduledCommand is a command that waits for its time. The command never
// changes: a change makes another.
type scheduledCommand struct {
	eventlog.Envelope
	At eventlog.CommandPosition
	// Seq, Version and Offset are those of the commandScheduled.
	Seq, Version uint64
	Offset       int64
	// Cancelled says that the command must end without a decision.
	Cancelled bool
}

// atOnce is before all times.
const atOnce = -1

// due is notBefore, in milliseconds since 1970, or atOnce for a cancelled command.
func (c *scheduledCommand) due() int64 {
	if c.Cancelled {
		return atOnce
	}
	return max(c.NotBefore.UnixMilli(), 0)
}

func (c *scheduledCommand) size() int { return 400 + len(c.Body) + len(c.ID) + len(c.Hash) }

// byTime is the order in which commands go on.
func byTime(a, b *scheduledCommand) int {
	return cmp.Or(cmp.Compare(a.due(), b.due()), cmp.Compare(a.Seq, b.Seq))
}

func byID(a, b *scheduledCommand) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), byTime(a, b))
}

// bySender is an order of commands of reactions.
func bySender(a, b *scheduledCommand) int {
	return cmp.Or(cmp.Compare(a.Origin.Reaction, b.Origin.Reaction), cmp.Compare(a.Type, b.Type), byTime(a, b))
}

// schedule is the scheduled commands of a stream. A change costs the logarithm of
// their number, and so does the first change of each part after a copy. Most
// streams have none, and no schedule.
type schedule struct {
	ordered, ids *scheduledTree
	senders      *scheduledTree // of commands of reactions that are not cancelled, nil for none
	bytes        int            // of the commands, an estimate
	unwritten    map[uint64]scheduleChange
}

// scheduledTree has an order. Copies share what has changed in neither.
type scheduledTree = btree.BTreeG[*scheduledCommand]

// scheduleChange is a change since the last batch, by the sequence number of the
// commandScheduled.
type scheduleChange struct {
	onDisk bool              // before the change
	due    int64             // on disk
	is     *scheduledCommand // nil if the command has ended
}

// The sizes are estimates of what the runtime allocates.
const (
	scheduleBytes       = 300 // without commands
	scheduleChangeBytes = 64
)

func newScheduledTree(compare func(a, b *scheduledCommand) int) *scheduledTree {
	less := func(a, b *scheduledCommand) bool { return compare(a, b) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{Degree: 8, NoLocks: true}) // the processor's lock is enough
}

// copied is a schedule for another version of the stream.
func (s *schedule) copied() *schedule {
	if s.len() == 0 {
		return nil
	}
	c := &schedule{ordered: s.ordered.Copy(), ids: s.ids.Copy(), bytes: s.bytes}
	if s.senders != nil {
		c.senders = s.senders.Copy()
	}
	return c
}

func (s *schedule) len() int {
	if s == nil {
		return 0
	}
	return s.ordered.Len()
}

func (s *schedule) size() int {
	if s == nil {
		return 0
	}
	return scheduleBytes + s.bytes + scheduleChangeBytes*len(s.unwritten)
}

// all are the commands in the order in which they go on.
func (s *schedule) all() iter.Seq[*scheduledCommand] {
	return func(yield func(*scheduledCommand) bool) {
		if s != nil {
			s.ordered.Scan(yield)
		}
	}
}

// first is the command that goes on next, nil for none.
func (s *schedule) first() *scheduledCommand {
	if s == nil {
		return nil
	}
	c, _ := s.ordered.Min()
	return c
}

// due is the time of the first command in milliseconds since 1970, later than all
// times for an empty schedule.
func (s *schedule) due() int64 {
	if c := s.first(); c != nil {
		return c.due()
	}
	return math.MaxInt64
}

// scheduleOf is a schedule of commands.
func scheduleOf(all []*scheduledCommand) *schedule {
	if len(all) == 0 {
		return nil
	}
	s := &schedule{ordered: newScheduledTree(byTime), ids: newScheduledTree(byID)}
	for _, c := range all {
		s.add(c)
	}
	return s
}

func (s *schedule) add(c *scheduledCommand) {
	s.ordered.Set(c)
	s.ids.Set(c)
	if c.Origin != nil && !c.Cancelled {
		if s.senders == nil {
			s.senders = newScheduledTree(bySender)
		}
		s.senders.Set(c)
	}
	s.bytes += c.size()
}

// with adds a command. The schedule may be nil.
func (s *schedule) with(c *scheduledCommand) *schedule {
	if s == nil {
		s = scheduleOf([]*scheduledCommand{c})
	} else {
		s.add(c)
	}
	s.note(c.Seq, scheduleChange{is: c})
	return s
}

// remove takes a command off.
func (s *schedule) remove(c *scheduledCommand) {
	s.ordered.Delete(c)
	s.ids.Delete(c)
	if c.Origin != nil && !c.Cancelled {
		s.senders.Delete(c)
	}
	s.bytes -= c.size()
	s.note(c.Seq, scheduleChange{onDisk: true, due: c.due()})
}

// note notes a change for the next batch.
func (s *schedule) note(seq uint64, change scheduleChange) {
	if earlier, noted := s.unwritten[seq]; noted {
		change.onDisk, change.due = earlier.onDisk, earlier.due
	}
	if !change.onDisk && change.is == nil {
		delete(s.unwritten, seq)
		return
	}
	if s.unwritten == nil {
		s.unwritten = map[uint64]scheduleChange{}
	}
	s.unwritten[seq] = change
}

// takeUnwritten takes the changes of the schedule since the last time.
func (s *stream) takeUnwritten() map[uint64]scheduleChange {
	if s.schedule == nil {
		return nil
	}
	changes := s.schedule.unwritten
	s.schedule.unwritten = nil
	if s.schedule.len() == 0 {
		s.schedule = nil
	}
	return changes
}

// find is the command with an id, nil for none.
func (s *schedule) find(commandID string) *scheduledCommand {
	for c := range s.withID(commandID) {
		return c
	}
	return nil
}

// at is the command that came with an id at a position, nil for none.
func (s *schedule) at(commandID string, position eventlog.CommandPosition) *scheduledCommand {
	for c := range s.withID(commandID) {
		if c.At == position {
			return c
		}
	}
	return nil
}

// withID are the commands with an id: at most one, unless the log has what no
// release writes.
func (s *schedule) withID(commandID string) iter.Seq[*scheduledCommand] {
	return func(yield func(*scheduledCommand) bool) {
		if s.len() > 0 {
			from := &scheduledCommand{Envelope: eventlog.Envelope{ID: commandID}, Cancelled: true}
			s.ids.Ascend(from, func(c *scheduledCommand) bool { return c.ID == commandID && yield(c) })
		}
	}
}

// sentBy is the first command of a type that a reaction has sent, nil for none.
func (s *schedule) sentBy(reaction, commandType string) (first *scheduledCommand) {
	if s == nil || s.senders == nil {
		return nil
	}
	from := &scheduledCommand{Envelope: eventlog.Envelope{Type: commandType, Origin: &eventlog.Origin{Reaction: reaction}}, Cancelled: true}
	s.senders.Ascend(from, func(c *scheduledCommand) bool {
		if c.Origin.Reaction == reaction && c.Type == commandType {
			first = c
		}
		return false
	})
	return first
}

// CancelScheduled ends a scheduled command without a decision. The command has
// either an id or a type.
type CancelScheduled struct {
	Stream string `json:"stream"`
	// CommandID is the id of the scheduled command.
	CommandID string `json:"commandId,omitempty"`
	// CommandType is for reactions, which don't know the ids of their commands: the
	// first scheduled command of the type that the same reaction has sent.
	CommandType string `json:"commandType,omitempty"`
}

// Type is "cancelScheduled".
func (CancelScheduled) Type() string { return TypeCancelScheduled }

// AggregateID is the id in the stream's name.
func (c CancelScheduled) AggregateID() string { return idOf(c.Stream) }

// TypeCancelScheduled is the name of CancelScheduled on the wire.
const TypeCancelScheduled = "cancelScheduled"

var (
	errNotScheduled = &aggregate.Refusal{Slug: "not-scheduled", Detail: "the stream has no scheduled command with this id"}
	errCancelled    = &aggregate.Refusal{Slug: "command-cancelled", Detail: "the command was cancelled before its time"}
)

type (
	// scheduledBody is the body of commandScheduled: the whole command.
	scheduledBody struct {
		CommandType     string          `json:"commandType"`
		Payload         json.RawMessage `json:"payload"`
		ExpectedVersion *uint64         `json:"expectedVersion,omitempty"`
		NotBefore       string          `json:"notBefore"`
	}
	// cancelledBody is the body of scheduledCancelled.
	cancelledBody struct {
		CommandID string `json:"commandId"` // of the scheduled command
	}
)

// isLater reports whether a command must wait for its time. The answer follows
// from the acceptance time, so that all deciders give the same.
func isLater(envelope *eventlog.Envelope) bool { return envelope.NotBefore.After(envelope.Time) }

// scheduled is the outcome of a command that waits for its time.
func scheduled(envelope *eventlog.Envelope) outcome {
	return outcome{recordType: eventlog.TypeCommandScheduled, body: EncodeBody(scheduledBody{
		CommandType: envelope.Type, Payload: envelope.Body, ExpectedVersion: envelope.ExpectedVersion,
		NotBefore: eventlog.FormatTime(envelope.NotBefore),
	})}
}

// cancel is the outcome of a CancelScheduled.
func cancel(s *stream, envelope *eventlog.Envelope, command *CancelScheduled) outcome {
	c := s.schedule.find(command.CommandID)
	if command.CommandType != "" && envelope.Origin != nil {
		c = s.schedule.sentBy(envelope.Origin.Reaction, command.CommandType)
	}
	if c == nil || c.Cancelled {
		return refused(envelope, errNotScheduled)
	}
	return outcome{recordType: eventlog.TypeScheduledCancelled, body: EncodeBody(cancelledBody{c.ID})}
}

// check says what is wrong with a CancelScheduled from topic commands.
func (c *CancelScheduled) check(envelope *eventlog.Envelope) error {
	switch {
	case (c.CommandID == "") == (c.CommandType == ""):
		return fmt.Errorf("%w: a %s has either a commandId or a commandType", kafka.ErrUndecodable, TypeCancelScheduled)
	case c.CommandType != "" && envelope.Origin == nil:
		return fmt.Errorf("%w: only a reaction cancels by commandType", kafka.ErrUndecodable)
	default:
		return nil
	}
}

// keepScheduled folds a commandScheduled.
func (s *stream) keepScheduled(r *eventlog.Record) error {
	body, err := decode[scheduledBody](r)
	if err != nil {
		return err
	}
	notBefore, err := time.Parse(time.RFC3339Nano, body.NotBefore)
	if err != nil {
		return fmt.Errorf("decode %s: notBefore: %w", r.Type, err)
	}
	s.schedule = s.schedule.with(&scheduledCommand{
		Envelope: eventlog.Envelope{
			Partition: r.Partition, ID: r.CommandID, Type: body.CommandType, Stream: r.Stream,
			Time: r.Time, Hash: r.CommandHash, ExpectedVersion: body.ExpectedVersion, NotBefore: notBefore, Origin: r.Origin, Body: body.Payload,
		},
		At: r.CommandPosition, Seq: r.Seq, Version: r.Version, Offset: r.Offset,
	})
	return nil
}

// cancelScheduled folds a scheduledCancelled: the command goes on next, and ends
// as refused.
func (s *stream) cancelScheduled(r *eventlog.Record) error {
	body, err := decode[cancelledBody](r)
	if err != nil {
		return err
	}
	was := s.schedule.find(body.CommandID)
	if was == nil {
		return errors.New("the cancelled command is not scheduled")
	}
	c := *was
	c.Cancelled = true
	s.schedule.remove(was)
	s.schedule = s.schedule.with(&c)
	return nil
}

// unschedule takes a command off the schedule once the command has another
// outcome, and reports whether the command was scheduled.
func (s *stream) unschedule(r *eventlog.Record) bool {
	if r.Type == eventlog.TypeCommandScheduled || r.Unreadable != nil {
		return false
	}
	c := s.schedule.at(r.CommandID, r.CommandPosition)
	if c != nil {
		s.schedule.remove(c)
	}
	return c != nil
}

// outcome is the outcome of a scheduled command until its end.
func (c *scheduledCommand) outcome() Outcome {
	return Outcome{
		CommandID: c.ID, CommandHash: c.Hash, Kind: Scheduled,
		Version: c.Version, Partition: c.Partition, Offset: c.Offset, NotBefore: c.NotBefore,
	}
}
