package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

func rebuildOf(store readmodel.Generations, log readmodel.Log, p *projection.Projection) *readmodel.Rebuild {
	return &readmodel.Rebuild{
		Projection: p, Store: store, Log: log, Events: orders.Registry, Partitions: 1, Logger: slog.New(slog.DiscardHandler),
	}
}

func statesOf(t *testing.T, store readmodel.Generations, p *projection.Projection) (all []string) {
	t.Helper()
	list, err := store.Generations(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		all = append(all, fmt.Sprintf("%d %s: %d parked", g.Number, g.State, g.Parked))
	}
	return all
}

// A stream that was parked in the live generation goes on in the rebuilt
// generation, once the projection is mended. The engine continues in the new
// generation.
func TestRebuildMendsAndSwaps(t *testing.T) {
	w := new(writer)
	w.created("good", "a")
	w.created("bad", "broken")
	w.zombie("good")
	w.renamed("bad", "b")
	mended := new(atomic.Bool)
	p, store := names(mended), memory(t)
	m, _ := join(t, store, w, p)
	m.takeAll(w.records)
	m.Cleanup(m.assignment)
	if diff := cmp.Diff(map[string]string{"good": "a 1"}, rows(t, store, p)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}

	mended.Store(true)
	var told int64
	r := rebuildOf(store, w, p)
	r.Progress = func(done, all int64) {
		if told = done; done > all {
			t.Errorf("%d of %d", done, all)
		}
	}
	generation, dropped, err := r.Begin(t.Context())
	if err != nil || len(dropped) > 0 {
		t.Fatal(err, dropped)
	}
	if err := errors.Join(r.Fill(t.Context(), generation), r.Swap(t.Context(), generation)); err != nil {
		t.Fatal(err)
	}
	if told != 4 {
		t.Errorf("progress ends at %d", told)
	}
	if diff := cmp.Diff(map[string]string{"good": "a 1", "bad": "b 2"}, rows(t, store, p)); diff != "" {
		t.Errorf("after (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 old: 1 parked", "2 live: 0 parked"}, statesOf(t, store, p)); diff != "" {
		t.Error(diff)
	}
}

// A rebuild drops the generation of an interrupted rebuild.
func TestAnInterruptedRebuildIsBegunAnew(t *testing.T) {
	w := new(writer)
	for i := range 100 {
		w.created(fmt.Sprint("u", i), "a")
	}
	p, store := names(new(atomic.Bool)), memory(t)
	r := rebuildOf(store, w, p)
	first, _, err := r.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	r.Progress = func(done, _ int64) {
		if done >= 10 {
			interrupt()
		}
	}
	long := &slowLog{w}
	r.Log = long
	if err := r.Fill(ctx, first); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1 live: 0 parked", "2 building: 0 parked"}, statesOf(t, store, p)); diff != "" {
		t.Error(diff)
	}
	r.Progress = nil
	second, dropped, err := r.Begin(t.Context())
	if err != nil || len(dropped) != 1 || dropped[0] != first {
		t.Fatal(dropped, err)
	}
	if err := errors.Join(r.Fill(t.Context(), second), r.Swap(t.Context(), second)); err != nil {
		t.Fatal(err)
	}
	if got := len(rows(t, store, p)); got != 100 {
		t.Errorf("%d rows", got)
	}
}

// A generation is not continued on another log, nor on a log without the record
// before the checkpoint.
func TestRebuildOnAnotherLog(t *testing.T) {
	w := new(writer)
	for i := range 20 {
		w.created(fmt.Sprint("u", i), "a")
	}
	p, store := names(new(atomic.Bool)), memory(t)
	r := rebuildOf(store, w, p)
	generation, _, err := r.Begin(t.Context())
	if err := errors.Join(err, r.Fill(t.Context(), generation)); err != nil {
		t.Fatal(err)
	}
	r.Log = &writer{records: w.records[:10]}
	if err := r.Swap(t.Context(), generation); err == nil || !strings.Contains(err.Error(), "lost its tail") {
		t.Error(err)
	}
}

// slowLog hands over one record at a time.
type slowLog struct{ *writer }

func (l *slowLog) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	for i := from; i < int64(len(l.records)); i++ {
		if err := fn(l.records[i : i+1]); err != nil {
			return err
		}
	}
	return l.writer.Follow(ctx, partition, int64(len(l.records)), fn)
}
