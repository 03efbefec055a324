package readmodel

import (
	"context"
	"slices"
)

// goOn lets the partitions go on that only lost their generation: another one
// was made the live one. It is at or past where they are, so that they go on
// in it from there, without leaving the group. It returns those that others
// have moved.
func (l *line) goOn(moved []int32, folders []*folder) (left []int32) {
	e := l.engine
	ctx, cancel := context.WithTimeout(context.Background(), FlushTimeout)
	defer cancel()
	live, err := e.Store.Checkpoints(ctx, e.Projection)
	if err != nil {
		return moved // to be set up anew, once the store can be reached
	}
	for _, f := range folders {
		if !slices.Contains(moved, f.claim.Partition) {
			continue
		}
		now := live[f.claim.Partition]
		if now.Generation == f.at.Generation || now.Next < f.at.Next || now.Next == f.at.Next && now.Digest != f.at.Digest {
			left = append(left, f.claim.Partition)
			continue
		}
		e.Logger.Info("another generation is live; going on in it", "read model", e.Projection.Name,
			"partition", now.Partition, "generation", now.Generation, "offset", now.Next)
		l.mu.Lock()
		f.at = now
		l.mu.Unlock()
		f.next.set(now.Next)
		e.Waits.Moved(e.Store, e.Projection, now)
	}
	return left
}

// stopAll leaves a read model whose live generation isn't this binary's to
// others.
func (l *line) stopAll(folders []*folder, why error) {
	l.engine.stopped.Do(func() {
		if l.engine.Stop != nil {
			l.engine.Stop(why)
		}
	})
	for _, f := range folders {
		l.drop(f)
	}
}
