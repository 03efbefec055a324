package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// otherBinaryPoll is how often a query service looks whose a read model's live
// generation is: it may be rebuilt, or rolled back, by another process.
const otherBinaryPoll = time.Second

// keptModel is a read model that a query service keeps up with the log, for as
// long as the live generation is its binary's.
type keptModel struct {
	*queryService
	projection *projection.Projection
	engine     atomic.Pointer[readmodel.Engine]
	status     atomic.Pointer[func(context.Context) error]
}

// ready says why the read model isn't up with the log, or nil.
func (k *keptModel) ready(ctx context.Context) error {
	status := k.status.Load()
	if status == nil {
		return errKafkaAway
	}
	if err := (*status)(ctx); err != nil {
		return fmt.Errorf("read model %s: %w", k.projection.Name, err)
	}
	return nil
}

func (k *keptModel) setStatus(status func(context.Context) error) { k.status.Store(&status) }

// keep keeps the read model up until the context ends. While another binary
// has rebuilt it, it leaves it to that one.
func (k *keptModel) keep(ctx context.Context, reader *kafka.FeedReader) error {
	for {
		err := k.prepareOne(ctx, k.store, k.projection)
		if err == nil {
			err = k.fold(ctx, reader)
		}
		if err == nil || !errors.Is(err, readmodel.ErrOtherDefinition) {
			return err
		}
		k.Log.Error("the read model is another binary's, and this one does not fold it", "read model", k.projection.Name,
			"run", rebuildCommand(k.projection), "error", err)
		k.setStatus(func(context.Context) error {
			return fmt.Errorf("the live generation is another binary's; to make it this one's run: %s", rebuildCommand(k.projection))
		})
		if err := k.awaitFit(ctx); err != nil {
			return err
		}
		k.Log.Info("the read model is this binary's now", "read model", k.projection.Name)
	}
}

// awaitFit waits until the live generation is this binary's.
func (k *keptModel) awaitFit(ctx context.Context) error {
	return k.poll(ctx, func(err error) bool { return err == nil })
}

// poll looks whose the live generation is, until the answer will do.
func (k *keptModel) poll(ctx context.Context, enough func(error) bool) error {
	tick := time.NewTicker(otherBinaryPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := k.store.Fits(ctx, k.projection); enough(err) {
			return err
		}
	}
}

// fold runs an engine until the context ends, or the live generation is another
// binary's.
func (k *keptModel) fold(ctx context.Context, reader *kafka.FeedReader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := k.projection
	engine := &readmodel.Engine{
		Projection: p, Store: k.store, Log: reader.LogReader, Events: k.Service.registry,
		Partitions: k.kafka.Partitions,
		BatchSize:  k.Config.QueryService.BatchSize,
		Linger:     k.Config.QueryService.BatchLinger,
		Waits:      &k.waits,
		Logger:     k.Log,
		Folded:     k.metrics.Batches(p.Name),
		Stop:       func(err error) { cancel(err) },
	}
	if k.traces != nil {
		engine.Traced = k.traces.Folds(p.Name, k.kafka.Group("query-service", p.Name))
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: k.Config.ShutdownTimeout}, kafka.WatermillLog(k.Log))
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	subscription := k.kafka.LogSubscription(k.kafka.Group("query-service", p.Name), reader, engine, readmodel.FlushTimeout)
	router.AddConsumerHandler(p.Name, k.kafka.Topic(eventlog.TopicEvents), subscription, engine.Handle)
	k.setStatus(func(ctx context.Context) error {
		return errors.Join(subscription.Ready(), engine.Ready(ctx))
	})
	k.engine.Store(engine)
	defer k.engine.Store(nil)
	looking := make(chan struct{})
	go func() { // it may be rebuilt while nothing comes
		defer close(looking)
		other := func(err error) bool { return errors.Is(err, readmodel.ErrOtherDefinition) }
		if err := k.poll(ctx, other); other(err) {
			cancel(err)
		}
	}()
	done := make(chan error, 1)
	go func() { done <- router.Run(context.WithoutCancel(ctx)) }()
	<-ctx.Done()
	<-looking
	<-router.Running()
	// The router doesn't wait for the subscription.
	err = errors.Join(router.Close(), <-done, subscription.Close())
	if cause := context.Cause(ctx); err == nil && errors.Is(cause, readmodel.ErrOtherDefinition) {
		return cause
	}
	return err
}
