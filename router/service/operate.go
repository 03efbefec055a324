package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/statestore"
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
	log, err := openLog(in, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = log.reader.Close() }()
	sayTarget(in.stderr, cfg, false)
	return log.fold(in.ctx, in, cfg, stream, func(ctx context.Context, states *decider.StateStore) error {
		return do(ctx, &operator{&operations.Parked{States: states, Kafka: log.kafka, CommandsID: log.topics.CommandsID}, in.stdout})
	})
}

// fold folds the log as operate does, and runs a function with the states.
func (l openedLog) fold(ctx context.Context, in *invocation, cfg config.Config, stream string, do func(context.Context, *decider.StateStore) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	states := l.states(in, cfg)
	defer keepOnDisk(states, cfg, l.logger)()
	if stream != "" {
		states.FoldOnly(stream)
	}
	var folding sync.WaitGroup
	folding.Go(func() {
		if err := states.Run(ctx); err != nil {
			l.logger.Error("reading the log", "error", err)
		}
	})
	defer func() {
		cancel(nil)
		folding.Wait()
	}()
	if err := readLog(ctx, cancel, in.stderr, states); err != nil {
		return why(ctx, err)
	}
	return do(ctx, states)
}

// keepOnDisk keeps the streams of a session in a folder of its own, so that a long
// log needs no more memory than in a command service. done closes and deletes the
// folder. Without a data folder that can be written, and beside another session,
// all streams are in memory.
func keepOnDisk(states *decider.StateStore, cfg config.Config, log *slog.Logger) (done func()) {
	if _, err := os.Stat(cfg.DataDir); err != nil {
		return func() {}
	}
	dir := filepath.Join(cfg.DataDir, "parked")
	store, err := statestore.Open(statestore.Options{Dir: dir, Memory: int64(cfg.Handlers.Memory / 2), Log: log})
	if err != nil {
		log.Debug("folding the log in memory", "reason", err)
		return func() {}
	}
	states.KeepOn(store, int64(cfg.Handlers.Memory/2), nil)
	return func() {
		if err := errors.Join(store.Close(), os.RemoveAll(dir)); err != nil {
			log.Warn("can't delete the folder of the states", "folder", dir, "error", err)
		}
	}
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
			fold.move(1, 1) // nothing is missing, however long the function with the states takes
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
