package query

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// movingStore is a store with moving checkpoints.
type movingStore struct {
	readmodel.Store
	mu     sync.Mutex
	at     map[int32]int64
	parked string               // why every stream is
	head   readmodel.StreamHead // of every stream
	looks  atomic.Int32         // at the store
}

func (s *movingStore) move(partition int32, next int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[partition] = next
}

func (s *movingStore) View(_ context.Context, _ *projection.Projection, fn func(readmodel.View) error) error {
	s.looks.Add(1)
	s.mu.Lock()
	view := movingView{head: s.head}
	view.head.Parked = s.parked
	for partition, next := range s.at {
		view.checkpoints = append(view.checkpoints, readmodel.Checkpoint{Partition: partition, Next: next})
	}
	s.mu.Unlock()
	return fn(view)
}

func (s *movingStore) Checkpoints(ctx context.Context, p *projection.Projection) (all []readmodel.Checkpoint, err error) {
	err = s.View(ctx, p, func(v readmodel.View) error {
		all, err = v.Checkpoints(ctx)
		return err
	})
	return all, err
}

type movingView struct {
	readmodel.View
	checkpoints []readmodel.Checkpoint
	head        readmodel.StreamHead
}

func (v movingView) Checkpoints(context.Context) ([]readmodel.Checkpoint, error) {
	return v.checkpoints, nil
}

func (v movingView) Head(context.Context, string) (readmodel.StreamHead, error) {
	return v.head, nil
}

func (v movingView) Heads(_ context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	heads := map[string]readmodel.StreamHead{}
	for _, stream := range streams {
		heads[stream] = v.head
	}
	return heads, nil
}

func (v movingView) Parked(ctx context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	if v.head.Parked == "" {
		return nil, nil
	}
	return v.Heads(ctx, streams)
}

var anyModel = &projection.Projection{Name: "any"}

// decide moves the head of a stream, as a fold does with an outcome.
func (s *movingStore) decide(topicID string, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at[0]++
	s.head.Decided = eventlog.CommandPosition{TopicID: topicID, Offset: offset}
}
