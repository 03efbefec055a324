package readmodel_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

// countingDecoder counts the decoded events.
type countingDecoder struct{ decoded atomic.Int64 }

func (d *countingDecoder) DecodeEvent(stream, eventType string, body []byte) (aggregate.AnyEvent, error) {
	d.decoded.Add(1)
	return orders.Registry.DecodeEvent(stream, eventType, body)
}

// The engines of a process decode an event once, and an engine alone does so for
// itself. A record of another log at the same place is another event.
func TestAnEventIsDecodedOnce(t *testing.T) {
	const many = 20
	for _, test := range []struct {
		engines, decoded int
		otherLog         bool
	}{{1, many, false}, {3, many, false}, {2, 2 * many, true}} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			events, shared := new(countingDecoder), &readmodel.SharedReading{Models: test.engines}
			for n := range test.engines {
				w, name := new(writer), "a"
				if test.otherLog {
					name = fmt.Sprint("a", n)
				}
				for i := range many {
					w.created(fmt.Sprint("u", i), name)
				}
				p, store, waits := names(new(atomic.Bool)), memory(t), new(readmodel.Waits)
				if err := store.Prepare(t.Context(), p, 1); err != nil {
					t.Fatal(err)
				}
				e := &readmodel.Engine{
					Projection: p, Store: store, Log: w, Events: events, Partitions: 1, BatchSize: 10,
					Waits: waits, Reading: shared, Logger: slog.New(slog.DiscardHandler),
				}
				assignment := kafka.NewAssignment(t.Context(), 0, func(int64) {})
				if _, err := e.Setup(assignment); err != nil {
					t.Fatal(err)
				}
				for _, r := range w.records {
					e.Take(r)
				}
				if !waits.Of(store, p).Await(t.Context(), nil, 0, many) {
					t.Fatal("not folded")
				}
				e.Cleanup(assignment)
				if got := rows(t, store, p); len(got) != many || got["u7"] != name+" 1" {
					t.Errorf("engine %d: %v", n, got)
				}
			}
			if got := events.decoded.Load(); got != int64(test.decoded) {
				t.Errorf("%d events were decoded, want %d", got, test.decoded)
			}
		})
	}
}

var _ projection.Decoder = (*countingDecoder)(nil)
