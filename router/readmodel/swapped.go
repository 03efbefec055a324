package readmodel

import (
	"context"
	"slices"
)

// continueInLive continues partitions in the live generation, if another
// generation went live since the assignment. The new generation is at or past the
// old checkpoints, so the partitions continue at the new checkpoints, and stay
// in the group. The result is the partitions whose checkpoints another process
// has moved.
func (b *batcher) continueInLive(moved []int32, consumers []*partitionConsumer) (left []int32) {
	e := b.engine
	ctx, cancel := context.WithTimeout(context.Background(), FlushTimeout)
	defer cancel()
	live, err := e.Store.Checkpoints(ctx, e.Projection)
	if err != nil {
		return moved // to be set up again once the store is back
	}
	for _, pc := range consumers {
		if !slices.Contains(moved, pc.assignment.Partition) {
			continue
		}
		now := live[pc.assignment.Partition]
		if now.Generation == pc.at.Generation || now.Next < pc.at.Next || now.Next == pc.at.Next && now.Digest != pc.at.Digest {
			left = append(left, pc.assignment.Partition)
			continue
		}
		e.Logger.Info("another generation is live; going on in it", "read model", e.Projection.Name,
			"partition", now.Partition, "generation", now.Generation, "offset", now.Next)
		b.mu.Lock()
		pc.at = now
		b.mu.Unlock()
		pc.next.Set(now.Next)
		e.Waits.Moved(e.Store, e.Projection, now)
	}
	return left
}

// stopAll ends the engine's work on a read model, because the live generation
// is another binary's.
func (b *batcher) stopAll(consumers []*partitionConsumer, why error) {
	b.engine.stopped.Do(func() {
		if b.engine.Stop != nil {
			b.engine.Stop(why)
		}
	})
	for _, pc := range consumers {
		b.drop(pc)
	}
}
