package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// deciding is a command service on the fake log, for a gateway in front.
type deciding struct {
	t          *testing.T
	states     *decider.StateStore
	dispatcher *decider.Dispatcher
}

func newDeciding(t *testing.T, log *fakeLog) *deciding {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	d := &deciding{t: t, states: decider.NewStateStore(log, registry, 1, 128, quiet)}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = d.states.Run(ctx) })
	topicID := func(context.Context) (string, error) { return "topic", nil }
	d.dispatcher = decider.NewDispatcher(&kafka.Kafka{Partitions: 1}, topicID, d.states, log.append, quiet)
	assignment := kafka.NewAssignment(ctx, 0, func(int64) {})
	if _, err := d.dispatcher.Setup(assignment); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
		d.dispatcher.Cleanup(assignment)
	})
	return d
}

func (d *deciding) take(commands ...eventlog.Envelope) {
	d.t.Helper()
	for _, c := range commands {
		command := decider.NewCommand(registry, c.Type)
		if err := json.Unmarshal(c.Body, command); err != nil {
			d.t.Fatal(err)
		}
		d.dispatcher.Take(c, command)
	}
}
