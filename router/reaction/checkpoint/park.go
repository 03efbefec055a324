package checkpoint

import "github.com/millrace/millrace/router/aggregate"

// ParkCause parks a cause that the reaction fails at, and all later causes of
// the same stream.
type ParkCause struct {
	ID string `json:"id"`
	// Stream is the stream of the cause, and Offset the place of the cause.
	Stream string `json:"stream"`
	Offset int64  `json:"offset"`
	// Reason and Stack say why.
	Reason string `json:"reason"`
	Stack  string `json:"stack"`
}

// Type is "parkCause".
func (ParkCause) Type() string { return "parkCause" }

// AggregateID is the reaction and the partition.
func (c ParkCause) AggregateID() string { return c.ID }

// Decide parks a cause that may be unanswered, unless the stream is parked there or
// before.
func (c ParkCause) Decide(s State) (aggregate.Event[State], error) {
	switch {
	case s.Answered(c.Stream, c.Offset), s.Open[c.Stream].Parked && s.Waits(c.Stream, c.Offset):
		return nil, nil
	case !s.HasRoom(c.Stream):
		return nil, ErrFull
	}
	return CauseParked(c), nil
}

// CauseParked says that a cause, and later causes of its stream, wait for an
// operator.
type CauseParked struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
	Offset int64  `json:"offset"`
	Reason string `json:"reason"`
	Stack  string `json:"stack"`
}

// Type is "causeParked".
func (CauseParked) Type() string { return "causeParked" }

// AggregateID is the reaction and the partition.
func (e CauseParked) AggregateID() string { return e.ID }

// Apply opens the stream.
func (e CauseParked) Apply(s State) State {
	return s.with(e.Stream, Open{Parked: true, From: e.Offset, Reason: e.Reason})
}

// RetryCause is an operator's command: answer the parked cause of a stream after
// all, and the causes behind.
type RetryCause struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
}

// Type is "retryCause".
func (RetryCause) Type() string { return "retryCause" }

// AggregateID is the reaction and the partition.
func (c RetryCause) AggregateID() string { return c.ID }

// Decide lets a parked stream go on.
func (c RetryCause) Decide(s State) (aggregate.Event[State], error) {
	if !s.Open[c.Stream].Parked {
		return nil, ErrNotParked
	}
	return CauseRetried(c), nil
}

// CauseRetried says that a parked stream goes on from the parked cause on.
type CauseRetried struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
}

// Type is "causeRetried".
func (CauseRetried) Type() string { return "causeRetried" }

// AggregateID is the reaction and the partition.
func (e CauseRetried) AggregateID() string { return e.ID }

// Apply lets the stream go on. The stream stays open.
func (e CauseRetried) Apply(s State) State {
	return s.with(e.Stream, Open{From: s.Open[e.Stream].From})
}

// SkipCause is an operator's command: pass over the parked cause of a stream,
// and answer the causes behind.
type SkipCause struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
	// Offset is the place of the parked cause. If another cause is parked by now,
	// SkipCause is refused.
	Offset int64 `json:"offset"`
}

// Type is "skipCause".
func (SkipCause) Type() string { return "skipCause" }

// AggregateID is the reaction and the partition.
func (c SkipCause) AggregateID() string { return c.ID }

// Decide lets a parked stream go on.
func (c SkipCause) Decide(s State) (aggregate.Event[State], error) {
	if o := s.Open[c.Stream]; !o.Parked || o.From != c.Offset {
		return nil, ErrNotParked
	}
	return CauseSkipped(c), nil
}

// CauseSkipped says that a parked stream goes on behind the parked cause.
type CauseSkipped struct {
	ID     string `json:"id"`
	Stream string `json:"stream"`
	Offset int64  `json:"offset"`
}

// Type is "causeSkipped".
func (CauseSkipped) Type() string { return "causeSkipped" }

// AggregateID is the reaction and the partition.
func (e CauseSkipped) AggregateID() string { return e.ID }

// Apply lets the stream go on. The stream stays open.
func (e CauseSkipped) Apply(s State) State { return s.with(e.Stream, Open{From: e.Offset + 1}) }
