package service

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// queryService is the role query-service: an engine for each read model.
type queryService struct {
	*Process
	store      readmodel.Generations
	maintained []*maintainedModel
	left       []*projection.Projection // kept up by other processes
	pace       readmodel.Pace
	reading    readmodel.SharedReading
}

func newQueryService(m *Process, store readmodel.Generations) *queryService {
	s := &queryService{Process: m, store: store}
	mine := m.Config.QueryService.ReadModels
	for _, p := range m.Service.projections() {
		if len(mine) == 0 || slices.Contains(mine, p.Name) {
			s.maintained = append(s.maintained, &maintainedModel{queryService: s, projection: p})
		} else {
			s.left = append(s.left, p)
		}
	}
	s.reading.Models = len(s.maintained)
	m.health.add("query-service", func(ctx context.Context) error {
		errs := make([]error, len(s.maintained))
		var asked sync.WaitGroup
		for i, m := range s.maintained {
			asked.Go(func() { errs[i] = m.ready(ctx) })
		}
		asked.Wait()
		return errors.Join(errs...)
	})
	return s
}

func (s *queryService) run(ctx context.Context) error {
	err := s.project(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // told to stop while waiting
	}
	return err
}

// prepare waits for the store, and makes or checks the tables of read models.
// Read models with the definition of another binary stay as they are; prepare
// logs an error.
func (m *Process) prepare(ctx context.Context, store readmodel.Store, models []*projection.Projection) error {
	for _, p := range models {
		switch err := m.prepareOne(ctx, store, p); {
		case errors.Is(err, readmodel.ErrOtherDefinition):
			m.Log.Error("the read model is another binary's", "read model", p.Name, "run", rebuildCommand(p), "error", err)
		case err != nil:
			return err
		}
	}
	return nil
}

// prepareOne prepares one read model.
func (m *Process) prepareOne(ctx context.Context, store readmodel.Store, p *projection.Projection) error {
	return m.retry(ctx, "the store can't be reached; waiting for it", func(ctx context.Context) error {
		return store.Prepare(ctx, p, m.kafka.Partitions)
	})
}

func rebuildCommand(p *projection.Projection) string {
	return program + " projections rebuild " + p.Name
}

// project keeps the read models up with the log until the context ends, or a
// read model fails.
func (s *queryService) project(ctx context.Context) error {
	if _, err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.retry(ctx, "the store can't be reached; waiting for it", s.store.Ping); err != nil {
		return err
	}
	// The read API answers from empty tables until the other process runs.
	if err := s.prepare(ctx, s.store, s.left); err != nil {
		return err
	}
	var reader *kafka.TailReader
	err := s.retry(ctx, "kafka went away; waiting for it", func(context.Context) (err error) {
		reader, err = s.logTail.reader(s.kafka)
		return err
	})
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	visible := func(ctx context.Context, partition int32, offset int64) {
		for _, m := range s.maintained {
			if engine := m.engine.Load(); engine != nil {
				engine.Visible(ctx, partition, offset)
			}
		}
	}
	s.visible.Store(&visible)
	maintaining, ctx := errgroup.WithContext(ctx)
	for _, m := range s.maintained {
		maintaining.Go(func() error { return m.maintain(ctx, reader) })
	}
	return maintaining.Wait()
}
