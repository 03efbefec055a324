package service

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/router/readmodel"
)

const (
	// originPoll is how often a read API compares the read models with the log,
	// and originPollSoon how often while the log doesn't answer or is another.
	originPoll     = time.Minute
	originPollSoon = 2 * time.Second
)

var errNotCompared = errors.New("the read models are not compared with the log yet")

// watchOrigin compares the read models with the log, now and then, until the
// context ends. The read API goes on without Kafka, so only a log that answers
// can prove that a read model belongs to another log.
func (s *readAPI) watchOrigin(ctx context.Context, status *modelStatus) {
	for {
		known, err := s.origin(ctx, status)
		if known || s.otherLog.Load() == nil { // a read API goes on without Kafka
			s.otherLog.Store(&err)
		}
		wait := originPoll
		if !known || err != nil {
			wait = originPollSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// origin returns a [readmodel.ErrOtherLog] if a read model was made of another
// log. known is false if the log or the store doesn't answer.
func (s *readAPI) origin(ctx context.Context, status *modelStatus) (known bool, other error) {
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	reader, ok := status.log.get(ctx)
	if !ok {
		return false, nil
	}
	for _, p := range s.Service.projections() {
		checkpoints, err := s.store.Checkpoints(ctx, p)
		if err != nil {
			return false, nil
		}
		err = readmodel.CheckOrigin(ctx, reader, p, checkpoints)
		if errors.Is(err, readmodel.ErrOtherLog) {
			return true, err
		}
		if err != nil {
			return false, nil
		}
	}
	return true, nil
}
