package decider

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// An assignment that has ended takes nothing, sends nothing and marks nothing,
// and its end leaves the next assignment alone.
func TestStaleAssignmentDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, tp := newFakeLog(), new(topic)
		var failed func(error)
		p := newProcessor(registry, 128, slog.New(slog.DiscardHandler))
		newAssignment := func() *assigned {
			assignment := kafka.NewAssignment(t.Context(), 0, func(next int64) { t.Errorf("marked %d", next) })
			c := newAssigned(assignment, "topic", func(_ *eventlog.Record, delivered func(error)) { failed = delivered })
			noError(p.assign(c))
			return c
		}
		stale := newAssignment()
		if s := (&service{t: t, processor: p, assigned: stale}); !s.takes(tp.command("createUser", "u", "Ann", "1")) {
			t.Fatal("an assignment did not take its command")
		}
		failed(errors.New("no ack"))
		synctest.Wait()
		retry := stale.retry
		if retry == nil {
			t.Fatal("a failed append is not sent again")
		}
		failed = nil
		next := newAssignment()
		if retry.Stop() {
			t.Error("the retry of the ended assignment still runs")
		}
		p.retryDue(stale)
		if failed != nil {
			t.Error("the ended assignment sent its record again")
		}
		if s := (&service{t: t, processor: p, assigned: stale}); s.takes(tp.command("renameUser", "u", "Bea", "2")) {
			t.Error("the ended assignment took a command")
		}
		if left := p.close(t.Context(), stale); left != 1 {
			t.Errorf("%d commands are left in the ended assignment, want 1", left)
		}
		if p.assigned != next {
			t.Error("the end of the stale assignment ended the next one")
		}
		if len(next.queue) != 0 || len(log.records) != 0 {
			t.Errorf("the next assignment has %d commands, and the log %d records", len(next.queue), len(log.records))
		}
	})
}

// rangeOf is topic commands with an end.
type rangeOf struct{ first, end int64 }

func (r rangeOf) Range(context.Context, int32) (first, end int64, err error) {
	return r.first, r.end, nil
}

// A process is ready once the commands of its partitions are decided.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := NewDispatcher(&kafka.Kafka{Partitions: 1}, sameTopic,
			NewStateStore(newFakeLog(), registry, 1, 128, slog.New(slog.DiscardHandler)),
			newFakeLog().append, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { _ = d.States.Run(ctx) }()
		ready := func(commands rangeOf) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			return d.Ready(ctx, commands)
		}
		if err := ready(rangeOf{0, 3}); err != nil {
			t.Errorf("without a partition: %v", err)
		}
		assignment := kafka.NewAssignment(ctx, 0, func(int64) {})
		if _, err := d.Setup(assignment); err != nil {
			t.Fatal(err)
		}
		if err := ready(rangeOf{3, 3}); err != nil {
			t.Errorf("without a command: %v", err)
		}
		const behind = "partition 0 of the commands is decided up to offset 0 of 3"
		if err := ready(rangeOf{0, 3}); err == nil || err.Error() != behind {
			t.Errorf("got %v, want %s", err, behind)
		}
		began := time.Now()
		time.AfterFunc(time.Second, func() { assignment.Mark(2) })
		time.AfterFunc(2*time.Second, func() { assignment.Mark(3) })
		if err := ready(rangeOf{0, 3}); err != nil || time.Since(began) != 2*time.Second {
			t.Errorf("got %v after %v, want nil after 2s", err, time.Since(began))
		}
		if partitions, commands := d.UnderWay(); partitions != 1 || commands != 0 {
			t.Errorf("%d commands of %d partitions are under way", commands, partitions)
		}
		stop()
		d.Cleanup(assignment)
	})
}
