package decider

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// A command whose notBefore is after its acceptance is scheduled: the log keeps
// the command beside its stream, and other commands go on. Which command is due
// follows from the stream and the clock at each look, never from a timer that was
// set: nothing is lost when the clock jumps, or when another process takes over.

// scheduledCommand is a command that waits for its time.
type scheduledCommand struct {
	eventlog.Envelope
	At eventlog.CommandPosition
	// Seq, Version and Offset are those of the commandScheduled.
	Seq, Version uint64
	Offset       int64
	// Cancelled says that the command must end without a decision.
	Cancelled bool
}

// scheduledEntry is a scheduled command with what a search needs.
type scheduledEntry struct {
	due   int64  // notBefore, in milliseconds since 1970; atOnce for a cancelled command
	seq   uint64 // of the commandScheduled
	print uint32 // fingerprint of the command's id
	*scheduledCommand
}

// atOnce is before all times.
const atOnce = -1

// schedule is the scheduled commands of a stream, in the order in which the
// commands go on: by notBefore, then by sequence number. The entries never change:
// a change makes others, so speculations and batches share the entries.
type schedule struct {
	entries []scheduledEntry
	bytes   int // an estimate
}

// all are the entries of a schedule. Most streams have none, and no schedule.
func (s *schedule) all() []scheduledEntry {
	if s == nil {
		return nil
	}
	return s.entries
}

func (s *schedule) size() int {
	if s == nil {
		return 0
	}
	return s.bytes
}

func newEntry(c *scheduledCommand) scheduledEntry {
	e := scheduledEntry{due: max(c.NotBefore.UnixMilli(), 0), seq: c.Seq, print: fingerprint(c.ID), scheduledCommand: c}
	if c.Cancelled {
		e.due = atOnce
	}
	return e
}

func (e scheduledEntry) compare(with scheduledEntry) int {
	return cmp.Or(cmp.Compare(e.due, with.due), cmp.Compare(e.seq, with.seq))
}

func (e scheduledEntry) size() int {
	return 500 + len(e.Body) + len(e.ID) + len(e.Hash)
}

func (s *schedule) len() int { return len(s.all()) }

// due is the time of the first command in milliseconds since 1970, later than all
// times for an empty schedule.
func (s *schedule) due() int64 {
	if s.len() == 0 {
		return math.MaxInt64
	}
	return s.entries[0].due
}

func (s *schedule) with(c *scheduledCommand) *schedule {
	e, all := newEntry(c), s.all()
	i, _ := slices.BinarySearchFunc(all, e, scheduledEntry.compare)
	return &schedule{slices.Concat(all[:i], []scheduledEntry{e}, all[i:]), s.size() + e.size()}
}

func (s *schedule) without(i int) *schedule {
	if len(s.entries) == 1 {
		return nil
	}
	return &schedule{slices.Concat(s.entries[:i], s.entries[i+1:]), s.bytes - s.entries[i].size()}
}

// find is the index of the command with an id, -1 for none.
func (s *schedule) find(commandID string) int {
	if s.len() == 0 {
		return -1
	}
	sum := fingerprint(commandID)
	return slices.IndexFunc(s.entries, func(e scheduledEntry) bool { return e.print == sum && e.ID == commandID })
}

// at is the index of the command that came at a position, -1 for none.
func (s *schedule) at(position eventlog.CommandPosition) int {
	return slices.IndexFunc(s.all(), func(e scheduledEntry) bool { return e.At == position })
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
	i := s.schedule.find(command.CommandID)
	if command.CommandType != "" && envelope.Origin != nil {
		i = slices.IndexFunc(s.schedule.all(), func(e scheduledEntry) bool {
			return e.Type == command.CommandType && !e.Cancelled && e.Origin != nil && e.Origin.Reaction == envelope.Origin.Reaction
		})
	}
	if i < 0 || s.schedule.entries[i].Cancelled {
		return refused(envelope, errNotScheduled)
	}
	return outcome{recordType: eventlog.TypeScheduledCancelled, body: EncodeBody(cancelledBody{s.schedule.entries[i].ID})}
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

// decideDue makes the record of the outcome of the stream's first scheduled
// command. The record's time is notBefore, so that all deciders make the same
// record.
func decideDue(registry *aggregate.Registry, s *stream) eventlog.Record {
	first := s.schedule.entries[0]
	envelope := first.dueEnvelope()
	return seal(s, &envelope, first.At, endScheduled(registry, s, first.Cancelled, &envelope))
}

// dueEnvelope is a scheduled command as if accepted at notBefore.
func (c *scheduledCommand) dueEnvelope() eventlog.Envelope {
	envelope := c.Envelope
	envelope.Time, envelope.NotBefore = c.NotBefore, time.Time{}
	return envelope
}

func endScheduled(registry *aggregate.Registry, s *stream, cancelled bool, envelope *eventlog.Envelope) outcome {
	if cancelled {
		return refused(envelope, errCancelled)
	}
	if reason := s.queues(registry, envelope.Type); reason != "" {
		return queued(envelope, reason)
	}
	command, err := readCommand(registry, envelope)
	if err != nil {
		return parked(envelope, err.Error(), "")
	}
	return decideNow(registry, s, envelope, command, nil)
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
	i := s.schedule.find(body.CommandID)
	if i < 0 {
		return errors.New("the cancelled command is not scheduled")
	}
	c := *s.schedule.entries[i].scheduledCommand
	c.Cancelled = true
	s.schedule = s.schedule.without(i).with(&c)
	return nil
}

// unschedule takes a command off the schedule once the command has another
// outcome, and reports whether the command was scheduled.
func (s *stream) unschedule(r *eventlog.Record) bool {
	if r.Type == eventlog.TypeCommandScheduled || r.Unreadable != nil {
		return false
	}
	i := s.schedule.at(r.CommandPosition)
	if i >= 0 {
		s.schedule = s.schedule.without(i)
	}
	return i >= 0
}

// outcome is the outcome of a scheduled command until its end.
func (e scheduledEntry) outcome() Outcome {
	return Outcome{
		CommandID: e.ID, CommandHash: e.Hash, Kind: Scheduled,
		Version: e.Version, Partition: e.Partition, Offset: e.Offset, NotBefore: e.NotBefore,
	}
}
