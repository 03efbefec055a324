package runner

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// checkTopic returns an error if the reaction has a place in another topic, in any
// partition: the log is a copy, so its records have other places, and no fence
// knows which of their causes are answered. A partition without a place proves
// nothing: in a copy with more partitions, the new ones have none.
func (r *run) checkTopic(ctx context.Context) error {
	for partition := range r.Partitions {
		stream := checkpoint.Stream(r.reaction.Name, partition)
		if err := r.States.CatchUp(ctx, eventlog.PartitionOf(stream, r.Partitions)); err != nil {
			return err
		}
		var is checkpoint.State
		r.States.Follow(stream, func(s decider.StreamState) { is, _ = s.State.(checkpoint.State) })()
		if is.Started && is.TopicID != r.TopicID {
			return fmt.Errorf("the log is a copy that `log copy` has not finished, or was made in another way: stream %s is at a place of a topic with the id %s, and topic events has the id %s", stream, is.TopicID, r.TopicID)
		}
	}
	return nil
}
