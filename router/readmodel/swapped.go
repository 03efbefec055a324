package readmodel

import (
	"context"
	"slices"
)

// continueInLive lets the partitions go on that only lost their generation: another one
// was made the live one. It is at or past where they are, so that they go on
// in it from there, without leaving the group. It returns those that others
// have moved.
func (b *batcher) continueInLive(moved []int32, consumers []*partitionConsumer) (left []int32) {
	e := b.engine
	ctx, cancel := context.WithTimeout(context.Background(), FlushTimeout)
	defer cancel()
	live, err := e.Store.Checkpoints(ctx, e.Projection)
	if err != nil {
		return moved // to be set up anew, once the store can be reached
	}
	for _, pc := range consumers {
		if !slices.Contains(moved, pc.claim.Partition) {
			continue
		}
		now := live[pc.claim.Partition]
		if now.Generation == pc.at.Generation || now.Next < pc.at.Next || now.Next == pc.at.Next && now.Digest != pc.at.Digest {
			left = append(left, pc.claim.Partition)
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

// stopAll leaves a read model whose live generation isn't this binary's to
// others.
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
