package operations

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// Reactions works on the streams that are parked in reactions.
type Reactions struct {
	Parked
	Partitions int32
}

// ParkedCause is a stream that is parked in a reaction, or goes on after a retry
// or a skip.
type ParkedCause struct {
	Reaction, Stream string
	// Offset is the place of the first unanswered record in topic events. The
	// partition follows from the stream.
	Offset int64
	// Parked says that the stream waits for an operator. Otherwise the records that
	// waited are answered in turn.
	Parked bool
	Reason string
}

// List returns the open streams of some reactions.
func (r *Reactions) List(reactions []string) (all []ParkedCause) {
	for _, name := range reactions {
		for partition := range r.Partitions {
			state := r.stateOf(checkpoint.Stream(name, partition))
			for _, stream := range state.Names() {
				o := state.Open[stream]
				all = append(all, ParkedCause{name, stream, o.From, o.Parked, o.Reason})
			}
		}
	}
	return all
}

func (r *Reactions) stateOf(stream string) (state checkpoint.State) {
	r.States.Follow(stream, func(s decider.StreamState) { state, _ = s.State.(checkpoint.State) })()
	return state
}

// Stream is the stream of a reaction's place, for the records of another stream.
func (r *Reactions) Stream(reaction, stream string) string {
	return checkpoint.Stream(reaction, eventlog.PartitionOf(stream, r.Partitions))
}

// Retry asks a reaction again about the records of a parked stream. Retry waits
// until all are answered, and returns the cause if the stream is parked again.
func (r *Reactions) Retry(ctx context.Context, reaction, stream string) (*ParkedCause, error) {
	return r.goOn(ctx, reaction, stream, func(id string) aggregate.AnyCommand {
		return checkpoint.RetryCause{ID: id, Stream: stream}
	})
}

// Skip passes over the record that has parked a stream, at an offset, and asks
// the reaction about the records behind, as Retry does.
func (r *Reactions) Skip(ctx context.Context, reaction, stream string, offset int64) (*ParkedCause, error) {
	return r.goOn(ctx, reaction, stream, func(id string) aggregate.AnyCommand {
		return checkpoint.SkipCause{ID: id, Stream: stream, Offset: offset}
	})
}

func (r *Reactions) goOn(ctx context.Context, reaction, stream string, command func(id string) aggregate.AnyCommand) (again *ParkedCause, err error) {
	told := make(chan decider.StreamState, 64)
	own := r.Stream(reaction, stream)
	defer r.States.Follow(own, func(s decider.StreamState) {
		select {
		case told <- s:
		default: // nobody has read for long
		}
	})()
	_, id, _ := aggregate.SplitStream(own)
	outcome, err := r.send(ctx, own, command(id))
	if err != nil {
		return nil, err
	}
	if outcome.Refusal != nil {
		return nil, outcome.Refusal
	}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	for {
		select {
		case s := <-told:
			state, _ := s.State.(checkpoint.State)
			switch o, open := state.Open[stream]; {
			case s.Version < outcome.Version:
			case !open:
				return nil, nil //nolint:nilnil // all is answered
			case o.Parked:
				return &ParkedCause{reaction, stream, o.From, true, o.Reason}, nil
			}
		case <-ctx.Done():
			return nil, fmt.Errorf("the stream goes on, but not all is answered within %s: is a command-service running, with reactions.enabled?", Timeout)
		}
	}
}
