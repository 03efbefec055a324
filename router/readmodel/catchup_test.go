package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

// tallied is a read model whose partitions share a row: the number of events of
// each order, and of all orders. A name "broken" parks, until mended.
func tallied(name string, mended *atomic.Bool) *projection.Projection {
	return &projection.Projection{
		Name: name,
		Tables: []projection.Table{{Name: "tally", Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true}, {Name: "events", Type: projection.Integer},
		}}},
		Keys: func(e projection.Event) []projection.RowKey {
			return []projection.RowKey{{Table: "tally", Key: projection.Row{e.AggregateID}}, {Table: "tally", Key: projection.Row{"all"}}}
		},
		Apply: func(rows projection.Rows, e projection.Event) error {
			for _, id := range []string{e.AggregateID, "all"} {
				rows.Put("tally", projection.Row{id, rows.Get("tally", id).Integer(1) + 1})
			}
			if renamed, ok := e.Data.(*orders.OrderRenamed); ok && renamed.Name == "broken" && !mended.Load() {
				return errors.New("can't be applied")
			}
			return nil
		},
	}
}

// longLog has two partitions that are far behind, and one that is not.
func longLog() (l *partitionedLog, want map[string]int64) {
	l, want = newLog(3), map[string]int64{}
	for i := range 16_000 {
		id := fmt.Sprint("o", i*7919%3000)
		if eventlog.PartitionOf(order(id), 3) == 2 && i > 500 {
			continue
		}
		if want[id] == 0 {
			l.created(id, "a")
		} else {
			l.renamed(id, "b")
		}
		want[id]++
		want["all"]++
		if i%50 == 0 {
			l.zombie(id)
		}
	}
	return l, want
}

// countedLog counts the records that are read.
type countedLog struct {
	readmodel.Log
	read atomic.Int64
}

func (l *countedLog) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	return l.Log.Follow(ctx, partition, from, func(records []eventlog.Record) error {
		l.read.Add(int64(len(records)))
		return fn(records)
	})
}

// intercepted calls before each update of some read models; an error fails the
// update.
type intercepted struct {
	readmodel.Store
	before func(p *projection.Projection, moves []readmodel.Move) error
}

func (s *intercepted) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	if err := s.before(p, moves); err != nil {
		return err
	}
	return s.Store.Update(ctx, p, moves, ahead, fn)
}

// setUp sets up partitions for engines, all at once, and returns the engines'
// errors.
func setUp(ctx context.Context, partitions []int32, engines ...*readmodel.Engine) []error {
	errs := make([]error, len(engines))
	var all sync.WaitGroup
	for i, e := range engines {
		assignments := new(errgroup.Group)
		for _, partition := range partitions {
			assignments.Go(func() error {
				_, err := e.Setup(kafka.NewAssignment(ctx, partition, func(int64) {}))
				return err
			})
		}
		all.Go(func() { errs[i] = assignments.Wait() })
	}
	all.Wait()
	return errs
}

func engineOf(t *testing.T, store readmodel.Store, log readmodel.Log, p *projection.Projection, shared *readmodel.SharedReading) *readmodel.Engine {
	t.Helper()
	if err := store.Prepare(t.Context(), p, 3); err != nil {
		t.Fatal(err)
	}
	return &readmodel.Engine{
		Projection: p, Store: store, Log: log, Events: orders.Registry, Partitions: 3, BatchSize: 10, Reading: shared, Logger: slog.New(slog.DiscardHandler),
	}
}

func tally(t *testing.T, store readmodel.Store, p *projection.Projection) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	err := store.View(t.Context(), p, func(v readmodel.View) error {
		return v.Each(t.Context(), "tally", nil, func(row projection.Row) error {
			got[row.Text(0)] = row.Integer(1)
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// takeRest folds the partition that is not far behind.
func takeRest(l *partitionedLog, e *readmodel.Engine) {
	records, _ := l.records(2)
	for _, r := range records {
		e.Take(r)
	}
	e.Cleanup(kafka.NewAssignment(context.Background(), 2, func(int64) {}))
}

var allPartitions = []int32{0, 1, 2}

// Engines that catch up at the same time read the log once. In the bubble no
// time passes while an engine is on its way to the reading.
func TestCatchUpsShareAReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, want := longLog()
		log, store := &countedLog{Log: l}, memory(t)
		shared := &readmodel.SharedReading{Models: 3}
		var engines []*readmodel.Engine
		for _, name := range []string{"a", "b", "c"} {
			engines = append(engines, engineOf(t, store, log, tallied(name, new(atomic.Bool)), shared))
		}
		if err := errors.Join(setUp(t.Context(), allPartitions, engines...)...); err != nil {
			t.Fatal(err)
		}
		for _, e := range engines {
			takeRest(l, e)
			if diff := cmp.Diff(want, tally(t, store, e.Projection)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", e.Projection.Name, diff)
			}
		}
		for ended := time.Now(); !shared.Idle(); time.Sleep(time.Millisecond) {
			if time.Since(ended) > 10*time.Second {
				t.Fatal("a reading is kept in memory")
			}
		}
		zero, _ := l.records(0)
		one, _ := l.records(1)
		if got := log.read.Load(); got != int64(len(zero)+len(one)) {
			t.Errorf("%d records read, of %d and %d", got, len(zero), len(one))
		}
		time.Sleep(time.Second) // until the store rests
	})
}

// A read model that fails takes no other along, and goes on later.
func TestAFailingCatchUpTakesNoOtherAlong(t *testing.T) {
	l, want := longLog()
	broken := errors.New("the table is broken")
	var fails atomic.Bool
	fails.Store(true)
	store := &intercepted{memory(t), func(p *projection.Projection, _ []readmodel.Move) error {
		if p.Name == "a" && fails.Load() {
			return broken
		}
		return nil
	}}
	shared := &readmodel.SharedReading{Models: 2}
	a := engineOf(t, store, l, tallied("a", new(atomic.Bool)), shared)
	b := engineOf(t, store, l, tallied("b", new(atomic.Bool)), shared)
	if errs := setUp(t.Context(), allPartitions, a, b); !errors.Is(errs[0], broken) || errs[1] != nil {
		t.Fatal(errs)
	}
	fails.Store(false)
	if errs := setUp(t.Context(), allPartitions, a); errs[0] != nil {
		t.Fatal(errs)
	}
	for _, e := range []*readmodel.Engine{a, b} {
		takeRest(l, e)
		if diff := cmp.Diff(want, tally(t, store, e.Projection)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", e.Projection.Name, diff)
		}
	}
}

// Another process owns a partition, and folds the partition while this process
// catches up with the others. Both add to the same row.
func TestCatchUpBesideAnotherProcess(t *testing.T) {
	l, want := longLog()
	store, p := memory(t), tallied("a", new(atomic.Bool))
	other := engineOf(t, store, l, p, nil)
	if errs := setUp(t.Context(), []int32{2}, other); errs[0] != nil {
		t.Fatal(errs)
	}
	records, _ := l.records(2)
	var updates atomic.Int64
	slow := &intercepted{store, func(*projection.Projection, []readmodel.Move) error {
		n := updates.Add(1)
		if from := (n - 1) * 10; from < int64(len(records)) { // between any two transactions
			for _, r := range records[from:min(from+10, int64(len(records)))] {
				other.Take(r)
				other.Visible(t.Context(), 2, r.Offset)
			}
		}
		return nil
	}}
	e := engineOf(t, slow, l, p, nil)
	if errs := setUp(t.Context(), []int32{0, 1}, e); errs[0] != nil {
		t.Fatal(errs)
	}
	if updates.Load() < 3 {
		t.Errorf("only %d updates", updates.Load())
	}
	for _, r := range records {
		other.Take(r) // records before the checkpoint are skipped
	}
	other.Cleanup(kafka.NewAssignment(t.Context(), 2, func(int64) {}))
	if diff := cmp.Diff(want, tally(t, store, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A retry changes rows that the catch-up has in memory.
func TestCatchUpBesideARetry(t *testing.T) {
	l, store, mended := newLog(3), memory(t), new(atomic.Bool)
	p := tallied("a", mended)
	var first []string // orders of partition 0
	for i := 0; len(first) < 40; i++ {
		if id := fmt.Sprint("o", i); eventlog.PartitionOf(order(id), 3) == 0 {
			first = append(first, id)
		}
	}
	want := map[string]int64{}
	add := func(id, name string) {
		l.renamed(id, name)
		want[id]++
		want["all"]++
	}
	add(first[0], "broken")
	for i := range 5_000 {
		add(first[i%len(first)], "b")
	}
	e := engineOf(t, store, l, p, nil)
	if errs := setUp(t.Context(), []int32{0}, e); errs[0] != nil {
		t.Fatal(errs)
	}
	for i := range 6_000 {
		add(first[i%len(first)], "c")
	}
	parked, err := readmodel.Parked(t.Context(), store, p, 3)
	if err != nil || len(parked) != 1 {
		t.Fatal(parked, err)
	}
	var once sync.Once
	slow := &intercepted{store, func(*projection.Projection, []readmodel.Move) (err error) {
		once.Do(func() {
			mended.Store(true)
			_, err = readmodel.Retry(t.Context(), store, l, orders.Registry, p, parked, slog.New(slog.DiscardHandler))
		})
		return err
	}}
	if errs := setUp(t.Context(), []int32{0}, engineOf(t, slow, l, p, nil)); errs[0] != nil {
		t.Fatal(errs)
	}
	if diff := cmp.Diff(want, tally(t, store, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A process that stops in the middle of a catch-up leaves a state of the log:
// the next process goes on from the checkpoints.
func TestCatchUpGoesOnFromTheCheckpoints(t *testing.T) {
	l, want := longLog()
	store, p := memory(t), tallied("a", new(atomic.Bool))
	for n := 1; ; n++ {
		ctx, stop := context.WithCancel(t.Context())
		var updates atomic.Int64
		stopping := &intercepted{store, func(*projection.Projection, []readmodel.Move) error {
			if updates.Add(1) == 2 {
				stop()
			}
			return nil
		}}
		e := engineOf(t, stopping, &endsEarly{l, int64(n) * 6000}, p, nil)
		err := setUp(ctx, []int32{0, 1}, e)[0]
		stop()
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if at, err := store.Checkpoints(t.Context(), p); err != nil || !slices.ContainsFunc(at[:2], func(c readmodel.Checkpoint) bool {
			records, _ := l.records(c.Partition)
			return int64(len(records))-c.Next >= 5000
		}) {
			break
		}
		if n == 20 {
			t.Fatal("no progress")
		}
	}
	e := engineOf(t, store, l, p, nil)
	if errs := setUp(t.Context(), allPartitions, e); errs[0] != nil {
		t.Fatal(errs)
	}
	for partition := range int32(3) {
		records, _ := l.records(partition)
		for _, r := range records {
			e.Take(r)
		}
		e.Cleanup(kafka.NewAssignment(t.Context(), partition, func(int64) {}))
	}
	if diff := cmp.Diff(want, tally(t, store, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// endsEarly is a log of which only the beginning is known.
type endsEarly struct {
	*partitionedLog
	end int64
}

func (l *endsEarly) End(ctx context.Context, partition int32) (int64, error) {
	end, err := l.partitionedLog.End(ctx, partition)
	return min(end, l.end), err
}
