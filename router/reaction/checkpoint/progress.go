package checkpoint

import (
	"maps"

	"github.com/millrace/millrace/router/aggregate"
)

// StartReaction gives a new reaction its place.
type StartReaction struct {
	ID string `json:"id"`
	// TopicID is the id of topic events, and Next the offset of the first cause.
	TopicID string `json:"topicId"`
	Next    int64  `json:"next"`
}

// Type is "startReaction".
func (StartReaction) Type() string { return "startReaction" }

// AggregateID is the reaction and the partition.
func (c StartReaction) AggregateID() string { return c.ID }

// Decide starts the reaction, once.
func (c StartReaction) Decide(s State) (aggregate.Event[State], error) {
	if s.Started {
		return nil, nil
	}
	return ReactionStarted(c), nil
}

// ReactionStarted says where a reaction starts in a partition.
type ReactionStarted struct {
	ID      string `json:"id"`
	TopicID string `json:"topicId"`
	Next    int64  `json:"next"`
}

// Type is "reactionStarted".
func (ReactionStarted) Type() string { return "reactionStarted" }

// AggregateID is the reaction and the partition.
func (e ReactionStarted) AggregateID() string { return e.ID }

// Apply sets the place.
func (e ReactionStarted) Apply(State) State {
	return State{Started: true, TopicID: e.TopicID, Next: e.Next}
}

// NoteProgress says what is answered: Kafka holds the commands of these causes.
type NoteProgress struct {
	ID string `json:"id"`
	// Next is the offset of the first cause that may be unanswered, of the streams
	// that are not open.
	Next int64 `json:"next"`
	// Going are the open streams that go on, each with the offset of the first
	// cause that may be unanswered.
	Going map[string]int64 `json:"going,omitempty"`
}

// Type is "noteProgress".
func (NoteProgress) Type() string { return "noteProgress" }

// AggregateID is the reaction and the partition.
func (c NoteProgress) AggregateID() string { return c.ID }

// Decide notes the progress.
func (c NoteProgress) Decide(s State) (aggregate.Event[State], error) {
	e := ReactionProgressed(c)
	if then := e.Apply(s); then.Next == s.Next && maps.Equal(then.Open, s.Open) {
		return nil, nil
	}
	return e, nil
}

// ReactionProgressed says how far a reaction is.
type ReactionProgressed struct {
	ID    string           `json:"id"`
	Next  int64            `json:"next"`
	Going map[string]int64 `json:"going,omitempty"`
}

// Type is "reactionProgressed".
func (ReactionProgressed) Type() string { return "reactionProgressed" }

// AggregateID is the reaction and the partition.
func (e ReactionProgressed) AggregateID() string { return e.ID }

// Apply moves the place, and closes the streams whose causes are answered up to
// there.
func (e ReactionProgressed) Apply(s State) State {
	s.Next = max(s.Next, e.Next)
	open := map[string]Open{}
	for stream, o := range s.Open {
		if from, goes := e.Going[stream]; goes && !o.Parked {
			o.From = max(o.From, from)
		}
		if o.Parked || o.From < s.Next {
			open[stream] = o
		}
	}
	if s.Open = open; len(open) == 0 {
		s.Open = nil
	}
	return s
}
