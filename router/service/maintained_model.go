package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// otherBinaryPoll is how often a query service checks whether a read model's
// live generation has this binary's definition. Another process may rebuild the
// read model, or roll back.
const otherBinaryPoll = time.Second

// gatherUnasked is how long records gather while nobody waits for a read model.
const gatherUnasked = 5 * time.Millisecond

// maintainedModel is a read model that a query service folds, as long as the
// live generation has this binary's definition.
type maintainedModel struct {
	*queryService
	projection *projection.Projection
	engine     atomic.Pointer[readmodel.Engine]
	status     atomic.Pointer[func(context.Context) error]
}

// ready says why the read model is not up with the log, or nil.
func (m *maintainedModel) ready(ctx context.Context) error {
	status := m.status.Load()
	if status == nil {
		return errKafkaAway
	}
	if err := (*status)(ctx); err != nil {
		return fmt.Errorf("read model %s: %w", m.projection.Name, err)
	}
	return nil
}

func (m *maintainedModel) setStatus(status func(context.Context) error) { m.status.Store(&status) }

// maintain folds the log into the read model until the context ends. While the
// live generation has the definition of another binary, maintain waits.
func (m *maintainedModel) maintain(ctx context.Context, reader *kafka.TailReader) error {
	for {
		err := m.prepareOne(ctx, m.store, m.projection)
		if err == nil {
			err = m.fold(ctx, reader)
		}
		if err == nil || !errors.Is(err, readmodel.ErrOtherDefinition) {
			return err
		}
		m.Log.Error("the read model is another binary's, and this one does not fold it", "read model", m.projection.Name,
			"run", rebuildCommand(m.projection), "error", err)
		m.setStatus(func(context.Context) error {
			return fmt.Errorf("the live generation is another binary's; to make it this one's run: %s", rebuildCommand(m.projection))
		})
		if err := m.awaitFit(ctx); err != nil {
			return err
		}
		m.Log.Info("the read model is this binary's now", "read model", m.projection.Name)
	}
}

// awaitFit waits until the live generation has this binary's definition.
func (m *maintainedModel) awaitFit(ctx context.Context) error {
	return m.poll(ctx, func(err error) bool { return err == nil })
}

// poll checks the live generation again and again, until the result is good
// enough.
func (m *maintainedModel) poll(ctx context.Context, enough func(error) bool) error {
	tick := time.NewTicker(otherBinaryPoll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := m.store.Fits(ctx, m.projection); enough(err) {
			return err
		}
	}
}

// gather is the engine's Gather. A process without the read API doesn't know who
// waits for a read model.
func (m *maintainedModel) gather() time.Duration {
	if !m.Config.Has(config.ReadAPI) {
		return 0
	}
	return gatherUnasked
}

// fold runs an engine until the context ends, or another binary has made another
// generation live.
func (m *maintainedModel) fold(ctx context.Context, reader *kafka.TailReader) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := m.projection
	engine := &readmodel.Engine{
		Projection: p, Store: m.store, Log: reader.LogReader, Events: m.Service.folded,
		Partitions: m.kafka.Partitions,
		BatchSize:  m.Config.QueryService.BatchSize,
		Linger:     m.Config.QueryService.BatchLinger,
		Gather:     m.gather(),
		Pace:       &m.pace,
		Reading:    &m.reading,
		Waits:      &m.waits,
		Logger:     m.Log,
		Folded:     m.metrics.Batches(p.Name),
		Aged:       m.metrics.Visible(p.Name),
		Stop:       func(err error) { cancel(err) },
	}
	if m.traces != nil {
		engine.Traced = m.traces.Folds(p.Name, m.kafka.Group("query-service", p.Name))
	}
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: m.Config.ShutdownTimeout}, kafka.WatermillLog(m.Log))
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	subscription := m.kafka.LogSubscription(m.kafka.Group("query-service", p.Name), reader, engine, readmodel.FlushTimeout)
	router.AddConsumerHandler(p.Name, m.kafka.Topic(eventlog.TopicEvents), subscription, engine.Handle)
	m.setStatus(func(ctx context.Context) error {
		return errors.Join(subscription.Ready(), engine.Ready(ctx))
	})
	m.engine.Store(engine)
	defer m.engine.Store(nil)
	looking := make(chan struct{})
	go func() { // the read model may be rebuilt while no record comes
		defer close(looking)
		other := func(err error) bool { return errors.Is(err, readmodel.ErrOtherDefinition) }
		if err := m.poll(ctx, other); other(err) {
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
