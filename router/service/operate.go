package service

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// operator is a session of the command line with the log and the folded states.
type operator struct {
	kafka  *kafka.Kafka
	topics kafka.Topics
	states *decider.StateStore
	stdout io.Writer
}

// operatorTimeout bounds the wait for Kafka, and for an outcome.
const operatorTimeout = 15 * time.Second

var errNoAnswer = fmt.Errorf("no answer from Kafka within %s", operatorTimeout)

// operate folds the log to the end, shows the progress, and runs a function with
// the states.
func operate(in *invocation, do func(context.Context, *operator) error) error {
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
	reach, stop := context.WithTimeoutCause(ctx, operatorTimeout, errNoAnswer)
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
	if err := readLog(ctx, cancel, in.stderr, states, kafka.Partitions); err != nil {
		return why(ctx, err)
	}
	return do(ctx, &operator{kafka, topics, states, in.stdout})
}

// readLog waits until the log is folded, and shows the progress.
func readLog(ctx context.Context, giveUp context.CancelCauseFunc, stderr io.Writer, states *decider.StateStore, partitions int32) error {
	caughtUp, fold := make(chan error, 1), watchStall(ctx, stderr, giveUp)
	fold.move(0, 1) // at least one record, until the log says how many
	go func() {
		for partition := range partitions {
			if err := states.CatchUp(ctx, partition); err != nil {
				caughtUp <- err
				return
			}
		}
		caughtUp <- nil
	}()
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

// operatorCommand is a command of the router, such as requeueParked.
type operatorCommand interface{ Type() string }

// send sends a command of the router, and returns the outcome.
func (o *operator) send(ctx context.Context, stream string, command operatorCommand, body []byte) (decider.Outcome, error) {
	bus, err := o.kafka.CommandBus(o.topics.CommandsID)
	if err != nil {
		return decider.Outcome{}, err
	}
	defer func() { _ = bus.Close() }()
	id := uuid.Must(uuid.NewV7()).String()
	watch := o.states.Watch(stream, id)
	defer watch.Close()
	_, err = bus.Send(ctx, &eventlog.Envelope{
		ID: id, Type: command.Type(), Stream: stream,
		Time: time.Now().UTC().Truncate(time.Millisecond), Hash: id, Body: body,
	})
	if err != nil {
		return decider.Outcome{}, err
	}
	return o.await(ctx, watch)
}

// await waits for the outcome that a watch looks for.
func (o *operator) await(ctx context.Context, watch *decider.Watch) (decider.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, operatorTimeout)
	defer cancel()
	select {
	case outcome := <-watch.C:
		return outcome, nil
	case <-ctx.Done():
		return decider.Outcome{}, fmt.Errorf("no outcome within %s: is a command-service running?", operatorTimeout)
	}
}
