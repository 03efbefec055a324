package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// checkTopic returns an error if the reaction has a place in another topic, in any
// partition: the log is a copy, so its records have other places, and no fence
// knows which of their causes are answered. A partition without a place proves
// nothing: in a copy with more partitions, the new ones have none. A process looks
// once.
func (r *run) checkTopic(ctx context.Context) error {
	l := r.lookOf(r.reaction.Name)
	l.mu.Lock()
	defer l.mu.Unlock()
	for try := 1; !l.done; try++ {
		found, err := r.findOtherTopic(ctx)
		if err := r.retry(ctx, "can't read the places of a reaction; trying again", try, err); err != nil {
			return err
		}
		if l.done = err == nil; found != nil {
			l.wrong = errSaid
			return found
		}
	}
	return l.wrong
}

// findOtherTopic returns what checkTopic says as found.
func (r *run) findOtherTopic(ctx context.Context) (found, err error) {
	for partition := range r.Partitions {
		stream := checkpoint.Stream(r.reaction.Name, partition)
		if err := r.States.CatchUp(ctx, eventlog.PartitionOf(stream, r.Partitions)); err != nil {
			return nil, err
		}
		if is := placeIn(r.States, stream); is.Started && is.TopicID != r.TopicID {
			return otherTopic(stream, is, r.TopicID), nil
		}
	}
	return nil, nil
}

// errSaid is the error of a reaction in a copy, after its first partition has said
// why.
var errSaid = errors.New("the log is a copy")

// look is a process's look at all places of a reaction.
type look struct {
	mu    sync.Mutex
	done  bool
	wrong error
}

func (r *Runner) lookOf(reaction string) *look {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.looks == nil {
		r.looks = map[string]*look{}
	}
	if r.looks[reaction] == nil {
		r.looks[reaction] = new(look)
	}
	return r.looks[reaction]
}

func otherTopic(stream string, is checkpoint.State, topicID string) error {
	return fmt.Errorf("the log is a copy that `log copy` has not made, or not to the end: stream %s is at a place of a topic with the id %s, and topic events has the id %s", stream, is.TopicID, topicID)
}

// placeIn is the reaction's place in its own stream.
func placeIn(states interface {
	Follow(stream string, tell func(decider.StreamState)) (stop func())
}, stream string,
) (is checkpoint.State) {
	states.Follow(stream, func(s decider.StreamState) { is, _ = s.State.(checkpoint.State) })()
	return is
}

// Folded is a state store that has folded a log to its end.
type Folded interface {
	Counting(ctx context.Context, records []eventlog.Record) ([]eventlog.Record, error)
	Follow(stream string, tell func(decider.StreamState)) (stop func())
	// Repeats reports whether a stream knows a reaction's command.
	Repeats(stream string, o *eventlog.Origin) (bool, error)
}

var errEnd = errors.New("the end of the log")

// CheckAnswered returns an error unless a reaction has answered all records of a
// partition: no stream is open, and every command that the reaction would send now
// is a repetition. So the reaction can go on behind the end of a copy of the log,
// where all records have other places. All commands must be decided.
func CheckAnswered(ctx context.Context, r Reaction, states Folded, log decider.Log, topicID string, partition int32) error {
	stream := checkpoint.Stream(r.Name, partition)
	is := placeIn(states, stream)
	for open, o := range is.Open {
		if o.Parked {
			return fmt.Errorf("stream %s is parked in reaction %s: `reactions retry` or `reactions skip` first", open, r.Name)
		}
		return fmt.Errorf("reaction %s has not answered stream %s: let the command services answer first", r.Name, open)
	}
	switch {
	case is.Started && is.TopicID != topicID:
		return otherTopic(stream, is, topicID)
	case !is.Started && !r.FromBeginning:
		return nil // begins in the copy as the reaction would begin here
	}
	end, err := log.End(ctx, partition)
	if err != nil || is.Next >= end {
		return err
	}
	err = log.Follow(ctx, partition, is.Next, func(records []eventlog.Record) error {
		counting, err := states.Counting(ctx, records)
		if err != nil {
			return err
		}
		for i := range counting {
			if err := r.checkAnswered(states, &counting[i], topicID); err != nil {
				return err
			}
		}
		if records[len(records)-1].Offset+1 >= end {
			return errEnd
		}
		return nil
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

// checkAnswered returns an error unless all commands of a cause are repetitions.
func (r *Reaction) checkAnswered(states Folded, c *eventlog.Record, topicID string) error {
	envelopes, err := r.React(c)
	if err != nil {
		return fmt.Errorf("reaction %s fails at %s, partition %d, offset %d: %w", r.Name, c.Stream, c.Partition, c.Offset, err)
	}
	for n := range envelopes {
		o := &eventlog.Origin{Reaction: r.Name, Cause: eventlog.Cause{TopicID: topicID, Partition: c.Partition, Offset: c.Offset, N: n + 1}, Subject: c.Stream}
		switch known, err := states.Repeats(envelopes[n].Stream, o); {
		case err != nil:
			return err
		case !known:
			return fmt.Errorf("reaction %s has not answered %s, partition %d, offset %d: let the command services answer first, until millrace_reaction_lag_records is 0", r.Name, c.Stream, c.Partition, c.Offset)
		}
	}
	return nil
}
