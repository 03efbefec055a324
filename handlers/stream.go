package handlers

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// stream is one user as the write side knows it: the fold of the user's
// accepted records.
type stream struct {
	head messaging.Head
	user users.User
	// decided is the position of the last command that has an outcome. No
	// command at or below it is decided again, so that expired or reset
	// offsets of the group rerun nothing.
	decided messaging.CommandPosition
	// outcomes are the last ones, the newest at the end.
	outcomes []Outcome
	// parked says that the stream waits for somebody to look at a command.
	parked bool
	// unreadable says why this binary can't follow the stream any further.
	unreadable error
}

// fold takes a record in, if the gate accepts it, and keeps so many outcomes.
func (s *stream) fold(r *messaging.Record, remember int) bool {
	head, accepted := s.head.Accept(r)
	if !accepted {
		return false
	}
	s.head = head
	if r.Unreadable == nil && !s.hasDecided(r.CommandPosition) {
		s.decided = r.CommandPosition
	}
	outcome, event, err := read(r)
	switch {
	case err != nil && s.unreadable == nil:
		s.unreadable = fmt.Errorf("record %d of stream %q (partition %d, offset %d): %w", r.Seq, r.Stream, r.Partition, r.Offset, err)
	case err != nil || s.unreadable != nil && event != nil:
		// The slot is taken all the same, and the user is as before.
	case event != nil:
		s.user = event.Apply(s.user)
	case outcome.Kind == Parked:
		s.parked = true
	}
	if err == nil {
		s.remember(outcome, remember)
	}
	return true
}

// read reads an accepted record: the outcome that it is, and the event, if it
// is one.
func read(r *messaging.Record) (Outcome, users.Event, error) {
	o := Outcome{
		CommandID: r.CommandID, CommandHash: r.CommandHash, Kind: Succeeded,
		Version: r.Version, Partition: r.Partition, Offset: r.Offset,
	}
	if r.Unreadable != nil {
		return o, nil, r.Unreadable
	}
	switch r.Type {
	case messaging.TypeCommandUnchanged:
		return o, nil, nil
	case messaging.TypeCommandRefused:
		body, err := decode[refusedBody](r)
		o.Kind, o.Refusal = Refused, &users.Refusal{Slug: body.Problem, Detail: body.Detail}
		return o, nil, err
	case messaging.TypeCommandParked:
		o.Kind = Parked
		return o, nil, nil
	case messaging.TypeCommandQueued:
		o.Kind = Queued
		return o, nil, nil
	default:
		event, err := users.DecodeEvent(r.Type, r.Body)
		return o, event, err
	}
}

func (s *stream) remember(o Outcome, limit int) {
	if i := s.index(o.CommandID); i >= 0 {
		s.outcomes = slices.Delete(s.outcomes, i, i+1) // what was parked has ended otherwise
	}
	if excess := len(s.outcomes) + 1 - limit; excess > 0 {
		s.outcomes = slices.Delete(s.outcomes, 0, excess)
	}
	s.outcomes = append(s.outcomes, o)
}

// outcome returns that of a command, if it is remembered.
func (s *stream) outcome(commandID string) (Outcome, bool) {
	if i := s.index(commandID); i >= 0 {
		return s.outcomes[i], true
	}
	return Outcome{}, false
}

func (s *stream) index(commandID string) int {
	return slices.IndexFunc(s.outcomes, func(o Outcome) bool { return o.CommandID == commandID })
}

// hasDecided says whether a command at this position has its outcome.
func (s *stream) hasDecided(at messaging.CommandPosition) bool {
	return s.decided.TopicID == at.TopicID && at.Offset <= s.decided.Offset
}
