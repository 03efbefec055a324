package decider

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// stream is one stream as the write side knows it: the fold of its accepted
// records.
type stream struct {
	head eventlog.Head
	// state is the aggregate's, nil for the zero value.
	state any
	// decided is the position of the last command that has an outcome. No
	// command at or below it is decided again, so that expired or reset
	// offsets of the group rerun nothing.
	decided eventlog.CommandPosition
	// decidedBefore is the same for topics commands that were there before it
	// was made anew: few streams have any.
	decidedBefore []eventlog.CommandPosition
	// outcomes are the last ones, in the order in which their commands had
	// their first.
	outcomes []Outcome
	// outcomeIndex are where in outcomes each stands, by its command's id: only while
	// held commands have more of them remembered than else.
	outcomeIndex map[string]int
	// deferred are the commands that wait, nil for none: the parked one, and those
	// after it.
	deferred *deferredQueue
	// parked says that they wait for somebody to look at the first of them.
	parked bool
	// unreadable says why this binary can't follow the stream any further.
	unreadable error
}

// fold takes a record in, if the gate accepts it, and keeps so many outcomes.
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
	if err == nil || r.Unreadable == nil && eventlog.IsEvent(r.Type) { // an event's outcome stands in its headers
		s.remember(outcome, remember)
	}
	return true
}

// apply changes the stream as an accepted record says, and returns the
// outcome that it is. After a record that can't be read the state stays as it
// was: the slots are taken all the same.
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

// applySafely makes an error of a panic: a fold of all streams must not end by
// one event.
func applySafely(registry *aggregate.Registry, state any, name string, event aggregate.AnyEvent) (after any, err error) {
	defer func() {
		if value := recover(); value != nil {
			after, err = state, fmt.Errorf("applying %s panicked: %v", event.Type(), value)
		}
	}()
	t, _ := registry.OfStream(name)
	return t.Apply(state, event), nil
}

// remember takes in an outcome. One of a new command makes the oldest forgotten,
// that of a command that was held doesn't: what repeats an id leaves no record,
// and is known by that id until a later command has moved the last decided
// position. And while commands are held, all are known by their ids.
func (s *stream) remember(o Outcome, limit int) {
	if s.outcomeIndex == nil && s.deferred != nil && len(s.outcomes) > limit {
		s.outcomeIndex = make(map[string]int, 2*len(s.outcomes))
		for i := range s.outcomes {
			s.outcomeIndex[s.outcomes[i].CommandID] = i
		}
	}
	if i := s.index(o.CommandID); i >= 0 {
		s.outcomes[i] = o // what was parked has ended otherwise
		return
	}
	if excess := len(s.outcomes) + 1 - limit; s.deferred == nil && excess > 0 {
		if excess == 1 {
			s.outcomes = slices.Delete(s.outcomes, 0, 1)
		} else { // what was held had them grow
			s.outcomes = slices.Clone(s.outcomes[excess:])
		}
		s.outcomeIndex = nil
	}
	s.outcomes = append(s.outcomes, o)
	if s.outcomeIndex != nil {
		s.outcomeIndex[o.CommandID] = len(s.outcomes) - 1
	}
}

// knows says whether a command has its outcome: its own, or that of the first
// with its id.
func (s *stream) knows(commandID string, at eventlog.CommandPosition) bool {
	return s != nil && (s.hasDecided(at) || s.index(commandID) >= 0)
}

// outcome returns that of a command, if it is remembered.
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

// moveTo moves the last decided position, which never goes back: late records
// may come from before the topic was made anew.
func (s *stream) moveTo(at eventlog.CommandPosition) {
	if s.hasDecided(at) {
		return
	}
	if was := s.decided; was.TopicID != at.TopicID && was.TopicID != "" {
		// Not in place: stacks share the slice.
		s.decidedBefore = slices.DeleteFunc(slices.Clone(s.decidedBefore), func(p eventlog.CommandPosition) bool { return p.TopicID == at.TopicID })
		s.decidedBefore = append(s.decidedBefore, was)
	}
	s.decided = at
}

// hasDecided says whether a command at this position has its outcome.
func (s *stream) hasDecided(at eventlog.CommandPosition) bool {
	covers := func(p eventlog.CommandPosition) bool { return p.TopicID == at.TopicID && at.Offset <= p.Offset }
	return covers(s.decided) || slices.ContainsFunc(s.decidedBefore, covers)
}
