package readmodel_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

// viewsStore counts views.
type viewsStore struct {
	readmodel.Store
	views atomic.Int64
}

func (s *viewsStore) View(ctx context.Context, p *projection.Projection, fn func(readmodel.View) error) error {
	s.views.Add(1)
	return s.Store.View(ctx, p, fn)
}

// Waiters for a partition of this process are woken by the commit, without a
// poll: for an offset, for a command, and for a command of a stream that is
// parked.
func TestACommitWakesWaitersWithoutAPoll(t *testing.T) {
	const rounds = 20
	w, waits := new(writer), new(readmodel.Waits)
	for i := range rounds {
		w.created(fmt.Sprint("u", i), "a")
		r := &w.records[i]
		r.CommandPosition = eventlog.CommandPosition{TopicID: "t", Offset: int64(i)}
		r.Seal()
	}
	w.created("bad", "panics")
	p, store := names(new(atomic.Bool)), &viewsStore{Store: memory(t)}
	if err := store.Prepare(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	e := &readmodel.Engine{
		Projection: p, Store: store, Log: w, Events: orders.Registry, Partitions: 1, BatchSize: 10,
		Waits: waits, Logger: slog.New(slog.DiscardHandler),
	}
	assignment := kafka.NewAssignment(t.Context(), 0, func(int64) {})
	if _, err := e.Setup(assignment); err != nil {
		t.Fatal(err)
	}
	m := waits.Of(store, p)
	waiting := make(chan bool)
	await := func(stream string, offset int64) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		next, decided, moved := m.AwaitCommand(ctx, nil, &eventlog.SentCommand{Stream: order(stream), CommandPlace: eventlog.CommandPlace{
			CommandPosition: eventlog.CommandPosition{TopicID: "t", Offset: offset},
		}}, offset)
		want := offset + 1
		if stream == "bad" { // the checkpoint is past the record, and the rows lack it
			want = 0
		}
		waiting <- decided && !moved && next == want
	}
	polled := 0
	for i := range int64(rounds + 1) {
		stream := fmt.Sprint("u", i)
		if i == rounds {
			stream = "bad"
		}
		go await(stream, i)
		go func() { waiting <- m.Await(t.Context(), nil, 0, i+1) }()
		for m.Waiting() < 2 {
			time.Sleep(time.Millisecond)
		}
		before := store.views.Load()
		e.Take(w.records[i])
		first, second := <-waiting, <-waiting
		if !first || !second {
			t.Fatalf("record %d wakes nobody", i)
		}
		if store.views.Load() > before {
			polled++
		}
	}
	if polled > rounds/2 { // a safety net polls now and then
		t.Errorf("%d of %d records were found by a poll", polled, rounds)
	}
	if _, decided, moved := m.AwaitCommand(t.Context(), nil, &eventlog.SentCommand{Stream: order("u1")}, 3); decided || !moved {
		t.Errorf("after a move: decided %t, moved %t", decided, moved)
	}
	e.Cleanup(assignment)
}

// A query waits before its first view for a command that is newer than all folded
// commands of the partition, and for no other.
func TestAwaitNew(t *testing.T) {
	w, waits := new(writer), new(readmodel.Waits)
	for i := range 2 {
		w.created(fmt.Sprint("u", i), "a")
		w.records[i].CommandPosition = eventlog.CommandPosition{TopicID: "t", Offset: int64(10 * (i + 1))}
		w.records[i].Seal()
	}
	p, store := names(new(atomic.Bool)), memory(t)
	if err := store.Prepare(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	e := &readmodel.Engine{
		Projection: p, Store: store, Log: w, Events: orders.Registry, Partitions: 1, BatchSize: 10,
		Waits: waits, Logger: slog.New(slog.DiscardHandler),
	}
	assignment := kafka.NewAssignment(t.Context(), 0, func(int64) {})
	if _, err := e.Setup(assignment); err != nil {
		t.Fatal(err)
	}
	m := waits.Of(store, p)
	command := func(topicID string, partition int32, offset int64) *eventlog.SentCommand {
		return &eventlog.SentCommand{Stream: order("u1"), CommandPlace: eventlog.CommandPlace{
			Partition: partition, CommandPosition: eventlog.CommandPosition{TopicID: topicID, Offset: offset},
		}}
	}
	atOnce := func(what string, c *eventlog.SentCommand) {
		t.Helper()
		if _, decided := m.AwaitNew(t.Context(), nil, c, time.Hour); decided {
			t.Errorf("%s: decided", what)
		}
	}
	atOnce("nothing is folded yet", command("t", 0, 20))
	e.Take(w.records[0])
	if !m.Await(t.Context(), nil, 0, 1) {
		t.Fatal("not folded")
	}
	atOnce("an older command", command("t", 0, 5))
	atOnce("the last command", command("t", 0, 10))
	atOnce("a command of another topic", command("other", 0, 20))
	atOnce("a command of another process's partition", command("t", 1, 20))
	if _, decided := m.AwaitNew(t.Context(), nil, command("t", 0, 30), time.Millisecond); decided {
		t.Error("a command that never comes is decided")
	}
	type result struct {
		next    int64
		decided bool
	}
	woken := make(chan result)
	go func() {
		next, decided := m.AwaitNew(t.Context(), nil, command("t", 0, 20), time.Hour)
		woken <- result{next, decided}
	}()
	for m.Waiting() < 1 {
		time.Sleep(time.Millisecond)
	}
	e.Take(w.records[1])
	if got, want := <-woken, (result{2, true}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	e.Cleanup(assignment)
	atOnce("after the assignment", command("t", 0, 40))
}
