package decider

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
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
	// decidedBefore has the same position for each earlier topic commands, if
	// the topic was deleted and created again. Few streams have any.
	decidedBefore []eventlog.CommandPosition
	// outcomes are the last outcomes, in the order of each command's first
	// outcome.
	outcomes []Outcome
	// outcomeIndex has the index of each outcome by command id. There is an
	// index only while deferred commands make the stream remember more outcomes
	// than usual.
	outcomeIndex map[string]int
	// deferred are the parked command and the commands behind, nil for none.
	deferred *deferredQueue
	// parked says that the first deferred command waits for an operator.
	parked bool
	// unreadable is the reason why this binary can't read the stream, or nil.
	unreadable error
}

// fold folds a record, if the gate accepts the record, and keeps at most
// remember outcomes. The result says whether the gate accepted the record.
func (s *stream) fold(registry *aggregate.Registry, r *eventlog.Record, remember int) bool {
	head, accepted := s.head.Accept(r)
	if !accepted {
		return false
	}
	s.head = head
	if r.Unreadable == nil {
		s.moveTo(r.CommandPosition)
	}
	outcome, err := s.apply(registry, r)
	if err != nil && s.unreadable == nil {
		s.unreadable = fmt.Errorf("record %d of stream %q (partition %d, offset %d): %w", r.Seq, r.Stream, r.Partition, r.Offset, err)
	}
	if err == nil || r.Unreadable == nil && eventlog.IsEvent(r.Type) { // headers are enough for the outcome of an event
		s.remember(outcome, remember)
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
	default:
		s.release(r.CommandID)
		event, err := registry.DecodeEvent(r.Stream, r.Type, r.Body)
		if err != nil {
			return o, err
		}
		if s.unreadable == nil {
			if s.state, err = applySafely(registry, s.state, r.Stream, event); err != nil {
				return o, err
			}
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
func (s *stream) remember(o Outcome, limit int) {
	if s.outcomeIndex == nil && s.deferred != nil && len(s.outcomes) > limit {
		s.outcomeIndex = make(map[string]int, 2*len(s.outcomes))
		for i := range s.outcomes {
			s.outcomeIndex[s.outcomes[i].CommandID] = i
		}
	}
	if i := s.index(o.CommandID); i >= 0 {
		s.outcomes[i] = o // a deferred command has ended, or is parked again
		return
	}
	if excess := len(s.outcomes) + 1 - limit; s.deferred == nil && excess > 0 {
		if excess == 1 {
			s.outcomes = slices.Delete(s.outcomes, 0, 1)
		} else { // deferred commands have let the outcomes grow
			s.outcomes = slices.Clone(s.outcomes[excess:])
		}
		s.outcomeIndex = nil
	}
	s.outcomes = append(s.outcomes, o)
	if s.outcomeIndex != nil {
		s.outcomeIndex[o.CommandID] = len(s.outcomes) - 1
	}
}

// knows reports whether a command has an outcome. A command that repeats an id
// has the outcome of the first command with the id.
func (s *stream) knows(commandID string, at eventlog.CommandPosition) bool {
	return s != nil && (s.hasDecided(at) || s.index(commandID) >= 0)
}

// outcome returns the outcome of a command, if the stream remembers the outcome.
func (s *stream) outcome(commandID string) (Outcome, bool) {
	if i := s.index(commandID); i >= 0 {
		return s.outcomes[i], true
	}
	return Outcome{}, false
}

func (s *stream) index(commandID string) int {
	if s.outcomeIndex != nil {
		if i, ok := s.outcomeIndex[commandID]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(s.outcomes, func(o Outcome) bool { return o.CommandID == commandID })
}

// moveTo moves the last decided position. The position never goes back: a late
// record may have the id of an earlier topic.
func (s *stream) moveTo(at eventlog.CommandPosition) {
	if s.hasDecided(at) {
		return
	}
	if was := s.decided; was.TopicID != at.TopicID && was.TopicID != "" {
		// Not in place: speculations share the slice.
		s.decidedBefore = slices.DeleteFunc(slices.Clone(s.decidedBefore), func(p eventlog.CommandPosition) bool { return p.TopicID == at.TopicID })
		s.decidedBefore = append(s.decidedBefore, was)
	}
	s.decided = at
}

// hasDecided reports whether the command at a position has an outcome.
func (s *stream) hasDecided(at eventlog.CommandPosition) bool {
	covers := func(p eventlog.CommandPosition) bool { return p.TopicID == at.TopicID && at.Offset <= p.Offset }
	return covers(s.decided) || slices.ContainsFunc(s.decidedBefore, covers)
}
