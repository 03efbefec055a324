package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/commandstatus"
	"github.com/millrace/millrace/projections/userhistory"
	"github.com/millrace/millrace/projections/userlist"
	"github.com/millrace/millrace/projections/userstats"
)

// readModels are the projections that a query service keeps.
var readModels = []*projections.Projection{
	userlist.Projection,
	userhistory.Projection,
	userstats.Projection,
	commandstatus.Projection,
}

// queryService is the role: an engine for each read model.
type queryService struct {
	*Main
	store  projections.Store
	status atomic.Pointer[func(context.Context) error]
}

func newQueryService(m *Main, store projections.Store) *queryService {
	s := &queryService{Main: m, store: store}
	m.health.add("query-service", func(ctx context.Context) error {
		if status := s.status.Load(); status != nil {
			return (*status)(ctx)
		}
		return errKafkaAway
	})
	return s
}

func (s *queryService) run(ctx context.Context) error {
	err := s.project(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // it was told to stop while it waited
	}
	return err
}

// prepare waits for the store, and has the tables of all read models made or
// checked.
func (m *Main) prepare(ctx context.Context, store projections.Store) error {
	for _, p := range readModels {
		err := m.retry(ctx, "the store can't be reached; waiting for it", func(ctx context.Context) error {
			return store.Prepare(ctx, p, m.kafka.Partitions)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// project keeps the read models up with the log until the context ends.
func (s *queryService) project(ctx context.Context) error {
	if _, err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx, s.store); err != nil {
		return err
	}
	var reader *messaging.LogReader
	err := s.retry(ctx, "kafka went away; waiting for it", func(context.Context) (err error) {
		reader, err = s.kafka.LogReader()
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()

	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: s.Config.ShutdownTimeout}, messaging.WatermillLog(s.Log))
	if err != nil {
		return fmt.Errorf("router: %w", err)
	}
	var checks []func(context.Context) error
	var leave []func() error
	var engines []*projections.Engine
	for _, p := range readModels {
		engine := &projections.Engine{
			Projection: p, Store: s.store, Log: reader,
			Partitions: s.kafka.Partitions,
			BatchSize:  s.Config.QueryService.BatchSize,
			Linger:     s.Config.QueryService.BatchLinger,
			Waits:      &s.waits,
			Logger:     s.Log,
		}
		engines = append(engines, engine)
		subscription := s.kafka.LogSubscription(s.kafka.Group("query-service", p.Name), engine, projections.FlushTimeout)
		router.AddConsumerHandler(p.Name, s.kafka.Topic(messaging.TopicEvents), subscription, engine.Handle)
		leave = append(leave, subscription.Close)
		checks = append(checks, func(ctx context.Context) error {
			if err := errors.Join(subscription.Ready(), engine.Ready(ctx)); err != nil {
				return fmt.Errorf("read model %s: %w", p.Name, err)
			}
			return nil
		})
	}
	status := func(ctx context.Context) error {
		var errs []error
		for _, check := range checks {
			errs = append(errs, check(ctx))
		}
		return errors.Join(errs...)
	}
	s.status.Store(&status)
	visible := func(ctx context.Context, partition int32, offset int64) {
		for _, engine := range engines {
			engine.Visible(ctx, partition, offset)
		}
	}
	s.visible.Store(&visible)

	done := make(chan error, 1)
	go func() { done <- router.Run(context.WithoutCancel(ctx)) }()
	<-ctx.Done()
	<-router.Running()
	err = errors.Join(router.Close(), <-done)
	for _, leave := range leave { // the router doesn't wait for it
		err = errors.Join(err, leave())
	}
	return err
}
