package service

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/operations"
)

// operator is a session of the command line with the log and the folded states.
type operator struct {
	*operations.Parked
	stdout io.Writer
}

// operate folds the log to the end, shows the progress, and runs a function with
// the states. For one stream, operate folds the stream's partition alone; "" is
// for all streams.
func operate(in *invocation, stream string, do func(context.Context, *operator) error) error {
	cfg, err := in.load()
	if err != nil {
		return err
	}
	log := newLogger(cfg.Log, in.stderr)
	kafka, err := newKafka(cfg, cfg.Kafka.Brokers, log)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(in.ctx)
	defer cancel(nil)
	reach, stop := context.WithTimeoutCause(ctx, operations.Timeout, operations.ErrNoAnswer)
	defer stop()
	topics, err := kafka.EnsureTopics(reach)
	if err != nil {
		return why(reach, err)
	}
	sayTarget(in.stderr, cfg, false)
	reader, err := kafka.LogReader()
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	states := decider.NewStateStore(reader, in.service.registry, kafka.Partitions, cfg.Handlers.OutcomesPerStream, log)
	if stream != "" {
		states.FoldOnly(stream)
	}
	var folding sync.WaitGroup
	folding.Go(func() {
		if err := states.Run(ctx); err != nil {
			log.Error("reading the log", "error", err)
		}
	})
	defer func() {
		cancel(nil)
		folding.Wait()
	}()
	if err := readLog(ctx, cancel, in.stderr, states); err != nil {
		return why(ctx, err)
	}
	return do(ctx, &operator{&operations.Parked{States: states, Kafka: kafka, CommandsID: topics.CommandsID}, in.stdout})
}

// readLog waits until the log is folded, and shows the progress.
func readLog(ctx context.Context, giveUp context.CancelCauseFunc, stderr io.Writer, states *decider.StateStore) error {
	caughtUp, fold := make(chan error, 1), watchStall(ctx, stderr, giveUp)
	fold.move(0, 1) // at least one record, until the log says how many
	go func() { caughtUp <- states.CatchUpAll(ctx) }()
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-caughtUp:
			return err
		case <-tick.C:
			folded, all, err := states.Progress(ctx)
			if err != nil {
				continue
			}
			fold.move(folded, all)
			if isTerminal(stderr) {
				fmt.Fprintf(stderr, "\rreading the log: %d of %d records", folded, all)
			}
		}
	}
}
