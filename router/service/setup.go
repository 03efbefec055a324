package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/config"
)

type setupCmd struct {
	Timeout time.Duration `default:"1m" help:"How long to wait for Kafka and the store, such as 30s or 5m."`
}

// Run makes or checks the topics and the tables, as the roles do at their start.
// A separate step shows errors before any service starts, and keeps many
// services from doing the same work at the same time.
func (c setupCmd) Run(in *invocation) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(in.ctx, c.Timeout)
	defer cancel()
	log := newLogger(cfg.Log, in.stderr)
	kafka, err := newKafka(cfg, cfg.Kafka.Brokers, log)
	if err != nil {
		return err
	}
	m := &Process{Service: in.service, Config: cfg, Log: log, kafka: kafka}
	if _, err := m.connect(ctx); err != nil {
		return c.gaveUp(err)
	}
	fmt.Fprintf(in.stdout, "the topics are there, with %d partitions each\n", cfg.Kafka.Partitions)
	if !cfg.Has(config.QueryService) && !cfg.Has(config.ReadAPI) {
		sayTarget(in.stderr, cfg, false)
		return nil
	}
	store, err := openStore(ctx, cfg)
	if err != nil {
		return err
	}
	err = c.gaveUp(m.prepare(ctx, store, in.service.projections()))
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	fmt.Fprintf(in.stdout, "the tables are there: %s\n", storeName(cfg))
	sayTarget(in.stderr, cfg, true)
	return nil
}

// gaveUp adds the timeout to an error of a context that ran out of time.
func (c setupCmd) gaveUp(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not done within %s: %w", c.Timeout, err)
	}
	return err
}
