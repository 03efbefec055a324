package decider

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/fence"
	"github.com/millrace/millrace/router/eventlog"
)

// stream is a stream of the state store: the fold of the stream's accepted
// records.
type stream struct {
	head eventlog.Head
	// state is the aggregate's state, nil for the zero value.
	state any
	// decided is the position of the last command that has an outcome. No
	// command at or below decided is decided again, even if the group's offsets
	// have expired or were reset.
	decided eventlog.CommandPosition
	// outcomes are the last outcomes.
	outcomes remembered
	// deferred are the parked command and the commands behind, nil for none.
	// The deferred commands have numbers on disk, and deferredEnd is the next.
	deferred    *deferredQueue
	deferredEnd uint64
	// fences know the repetitions among the commands of reactions.
	fences fence.Fences
	// parked says that the first deferred command waits for an operator.
	parked         bool
	earlierChanged bool    // seldom.decidedBefore, since the last batch
	seldom         *seldom // nil for nothing
	// schedule is the commands that wait for their time, nil for none.
	schedule *schedule
	// unreadable is the reason why this binary can't read the stream, or nil.
	unreadable error
}

// seldom is what few streams have: a million streams need no memory for this. A
// change makes another, because speculations and batches share the seldom.
type seldom struct {
	// decidedBefore has the position of the last command that has an outcome for
	// each earlier topic commands, if the topic was deleted and created again.
	decidedBefore []eventlog.CommandPosition
	// unclaimed are the streams of the claims of values that the state holds, and
	// that nobody has taken: the values are from before the claims.
	unclaimed []string
}

func (s *stream) decidedBefore() []eventlog.CommandPosition {
	if s.seldom == nil {
		return nil
	}
	return s.seldom.decidedBefore
}

func (s *stream) unclaimed() []string {
	if s.seldom == nil {
		return nil
	}
	return s.seldom.unclaimed
}

func (s *stream) setDecidedBefore(positions []eventlog.CommandPosition) {
	s.seldom = &seldom{positions, s.unclaimed()}
}

func (s *stream) setUnclaimed(claims []string) {
	s.seldom = &seldom{s.decidedBefore(), claims}
}

// fold folds a record, if the gate accepts the record, and keeps at most
// remember outcomes. The result says whether the gate accepted the record.
func (s *stream) fold(registry *aggregate.Registry, r *eventlog.Record, remember int) bool {
	head, accepted := s.head.Accept(r)
	if !accepted {
		return false
	}
	s.head = head
	if r.Unreadable == nil { // headers are enough for both
		s.moveTo(r.CommandPosition)
		s.fences = s.fences.Fold(r.Origin)
	}
	outcome, err := s.apply(registry, r)
	ended := s.unschedule(r)
	if err != nil && s.unreadable == nil {
		s.unreadable = fmt.Errorf("record %d of stream %q (partition %d, offset %d): %w", r.Seq, r.Stream, r.Partition, r.Offset, err)
	}
	// Headers are enough for the outcome of an event, and of a record of another
	// binary. Outcomes under a fence take no place among those of clients.
	blind := r.Unreadable == nil && (eventlog.IsEvent(r.Type) || errors.Is(err, aggregate.ErrUnknownEvent))
	if (err == nil || blind) && r.Origin == nil {
		s.remember(outcome, remember, ended)
	}
	if remember == 0 { // a speculation, which is never written
		s.takeUnwritten()
	}
	return true
}

// apply applies an accepted record, and returns the record's outcome. Behind a
// record that can't be read, the state stays unchanged, and the sequence
// numbers go on.
func (s *stream) apply(registry *aggregate.Registry, r *eventlog.Record) (Outcome, error) {
	o := Outcome{
		CommandID: r.CommandID, CommandHash: r.CommandHash, Kind: Succeeded,
		Version: r.Version, Partition: r.Partition, Offset: r.Offset,
	}
	if r.Unreadable != nil {
		return o, r.Unreadable
	}
	switch r.Type {
	case eventlog.TypeCommandUnchanged:
		s.release(r.CommandID)
	case eventlog.TypeCommandRefused:
		body, err := decode[refusedBody](r)
		if err != nil {
			return o, err
		}
		o.Kind, o.Refusal = Refused, &aggregate.Refusal{Slug: body.Problem, Detail: body.Detail, Kind: registry.KindOf(body.Problem)}
		s.release(r.CommandID)
	case eventlog.TypeCommandParked:
		o.Kind = Parked
		if err := s.deferCommand(r); err != nil {
			return o, err
		}
		s.parked = true
	case eventlog.TypeCommandQueued:
		o.Kind = Queued
		return o, s.deferCommand(r)
	case eventlog.TypeParkedRequeued, eventlog.TypeParkedDropped:
		return o, s.unpark(r)
	case eventlog.TypeCommandClaiming:
		o.Kind = Queued
		return o, s.awaitClaim(r)
	case eventlog.TypeClaimAnswered:
		return o, s.answered(r)
	case eventlog.TypeCommandScheduled:
		o.Kind = Scheduled
		return o, s.keepScheduled(r)
	case eventlog.TypeScheduledCancelled:
		return o, s.cancelScheduled(r)
	default:
		taken := s.takenFor(r.CommandID)
		s.release(r.CommandID)
		event, err := registry.DecodeEvent(r.Stream, r.Type, r.Body)
		if err != nil {
			return o, err
		}
		if s.unreadable == nil {
			before := s.state
			if s.state, err = applySafely(registry, before, r.Stream, event); err != nil {
				return o, err
			}
			s.noteUnclaimed(registry, r.Stream, before, taken)
		}
	}
	return o, nil
}

// applySafely turns a panic into an error: one event must not end the fold of
// all streams.
func applySafely(registry *aggregate.Registry, state any, name string, event aggregate.AnyEvent) (after any, err error) {
	defer func() {
		if value := recover(); value != nil {
			after, err = state, fmt.Errorf("applying %s panicked: %v", event.Type(), value)
		}
	}()
	t, _ := registry.OfStream(name)
	return t.Apply(state, event), nil
}

// remember adds or replaces an outcome. An outcome of a new command evicts the
// oldest outcome. An outcome of a deferred command does not, and nothing is
// evicted while commands are deferred: a command that repeats an id leaves no
// record, and only the id says that the command is decided, until a later
// command of the stream has moved the last decided position.
//
// The outcome of a scheduled command is in the schedule until the command's end,
// and then the last of the others. The end evicts nothing: the end moves no
// position.
func (s *stream) remember(o Outcome, limit int, endsScheduled bool) {
	if limit == 0 { // a speculation
		return
	}
	if o.Kind != Scheduled {
		if n, found := s.index(o.CommandID); found {
			s.outcomes.replace(n, o) // a deferred command has ended, or is parked again
			return
		}
		s.outcomes.add(o)
	}
	if s.deferred == nil && !endsScheduled {
		s.outcomes.keep(limit)
	}
}

// knows reports whether a command has an outcome. A command that repeats an id
// has the outcome of the first command with the id. Of a reaction's command not
// the id is asked but the fence: a late command finds the fence, however many
// outcomes later.
func (s *stream) knows(envelope *eventlog.Envelope, at eventlog.CommandPosition) bool {
	if s == nil {
		return false
	}
	if s.hasDecided(at) || s.fences.Repeats(envelope.Origin) {
		return true
	}
	if envelope.Origin != nil {
		return false
	}
	if s.schedule.find(envelope.ID) != nil {
		return true
	}
	_, found := s.index(envelope.ID)
	return found
}

// rememberedID is the id by which a stream remembers the outcome of a command:
// none for a reaction's command, which has a fence.
func rememberedID(commandID string, origin *eventlog.Origin) string {
	if origin != nil {
		return ""
	}
	return commandID
}

// outcome returns the outcome of a command, if the stream remembers the outcome.
func (s *stream) outcome(commandID string) (o Outcome, found bool) {
	if s == nil {
		return o, false
	}
	if c := s.schedule.find(commandID); c != nil {
		return c.outcome(), true
	}
	n, found := s.index(commandID)
	if !found {
		return o, false
	}
	return *s.outcomes.at(n), true
}

// index is the number of a command's outcome. The block that may have the
// outcome must be in memory: see [processor.require].
func (s *stream) index(commandID string) (n uint64, found bool) {
	n, found, missing := s.outcomes.find(commandID)
	if missing != nil {
		panic(fmt.Sprintf("outcomes of command %q were not read from disk", commandID))
	}
	return n, found
}

// moveTo moves the last decided position. The position never goes back: a late
// record may have the id of an earlier topic.
func (s *stream) moveTo(at eventlog.CommandPosition) {
	if s.hasDecided(at) {
		return
	}
	if was := s.decided; was.TopicID != at.TopicID && was.TopicID != "" {
		// Not in place: speculations share the slice.
		others := slices.DeleteFunc(slices.Clone(s.decidedBefore()), func(p eventlog.CommandPosition) bool { return p.TopicID == at.TopicID })
		s.setDecidedBefore(append(others, was))
		s.earlierChanged = true
	}
	s.decided = at
}

// hasDecided reports whether the command at a position has an outcome.
func (s *stream) hasDecided(at eventlog.CommandPosition) bool {
	covers := func(p eventlog.CommandPosition) bool { return p.TopicID == at.TopicID && at.Offset <= p.Offset }
	return covers(s.decided) || slices.ContainsFunc(s.decidedBefore(), covers)
}
