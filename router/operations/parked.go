package operations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// Timeout bounds the wait for Kafka, and for an outcome.
const Timeout = 15 * time.Second

// ErrNoAnswer is the error of a wait for Kafka that took too long.
var ErrNoAnswer = fmt.Errorf("no answer from Kafka within %s", Timeout)

// ErrNotFound is in the error of an operation on something that is not there.
var ErrNotFound = errors.New("not found")

// notFound is an [ErrNotFound] with its own text.
type notFound string

func (e notFound) Error() string { return string(e) }

// Is lets [errors.Is] match [ErrNotFound].
func (notFound) Is(target error) bool { return target == ErrNotFound }

// Parked works on the streams whose commands wait: for an operator, or for
// another binary.
type Parked struct {
	// States is a state store that has folded the log.
	States *decider.StateStore
	Kafka  *kafka.Kafka
	// CommandsID is the id of topic commands.
	CommandsID string
}

// List returns the streams whose commands wait, by name, each with the first
// command alone.
func (p *Parked) List() []decider.ParkedStream { return p.States.Parked() }

// Stream returns a stream with all commands that wait, the first command first.
func (p *Parked) Stream(name string) (decider.ParkedStream, error) {
	of, waits := p.States.ParkedStream(name)
	if !waits {
		return of, notFound(fmt.Sprintf("stream %s is not parked", name))
	}
	return of, nil
}

// Released is the result of a requeue or a drop.
type Released struct {
	// First is the stream's first command, and Outcome its outcome.
	First   decider.DeferredCommand
	Outcome decider.Outcome
	// Behind is the number of commands that waited behind the first.
	Behind int
}

// Again says that the first command is parked again.
func (r Released) Again() bool { return r.Outcome.Kind == decider.Parked }

// Requeue decides a stream's commands again, in order, and returns the first
// command's outcome.
func (p *Parked) Requeue(ctx context.Context, stream string) (Released, error) {
	return p.release(ctx, stream, decider.RequeueParked{Stream: stream})
}

// Drop drops a stream's first command, and lets the commands behind go on. If
// another command is the first by now, the error is an [aggregate.Refusal].
func (p *Parked) Drop(ctx context.Context, stream, commandID string) (Released, error) {
	return p.release(ctx, stream, decider.DropParked{Stream: stream, CommandID: commandID})
}

// release sends a command of the router that lets a parked stream go on, and
// waits for the outcome of the stream's first command.
func (p *Parked) release(ctx context.Context, stream string, command aggregate.AnyCommand) (Released, error) {
	of, err := p.Stream(stream)
	if err != nil {
		return Released{}, err
	}
	r := Released{First: of.Deferred[0], Behind: of.Waiting - 1}
	watch := p.States.Watch(stream, r.First.ID)
	defer watch.Close()
	<-watch.C // the outcome so far: parked or queued
	outcome, err := p.send(ctx, stream, command)
	if err != nil {
		return Released{}, err
	}
	if outcome.Refusal != nil {
		return Released{}, outcome.Refusal
	}
	r.Outcome, err = await(ctx, watch)
	return r, err
}

// send sends a command of the router, and returns the outcome.
func (p *Parked) send(ctx context.Context, stream string, command aggregate.AnyCommand) (decider.Outcome, error) {
	body, err := json.Marshal(command)
	if err != nil {
		return decider.Outcome{}, err
	}
	bus, err := p.Kafka.CommandBus(p.CommandsID)
	if err != nil {
		return decider.Outcome{}, err
	}
	defer func() { _ = bus.Close() }()
	id := uuid.Must(uuid.NewV7()).String()
	watch := p.States.Watch(stream, id)
	defer watch.Close()
	_, err = bus.Send(ctx, &eventlog.Envelope{
		ID: id, Type: command.Type(), Stream: stream,
		Time: time.Now().UTC().Truncate(time.Millisecond), Hash: id, Body: body,
	})
	if err != nil {
		return decider.Outcome{}, err
	}
	return await(ctx, watch)
}

// await waits for the outcome that a watch looks for.
func await(ctx context.Context, watch *decider.Watch) (decider.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	select {
	case outcome := <-watch.C:
		return outcome, nil
	case <-ctx.Done():
		return decider.Outcome{}, fmt.Errorf("no outcome within %s: is a command-service running?", Timeout)
	}
}
