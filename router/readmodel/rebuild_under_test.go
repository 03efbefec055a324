package readmodel

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// notFills are the methods that slowFills doesn't need.
type notFills interface{ Generations }

// slowFills is a generation with slow transactions.
type slowFills struct {
	notFills
	is mapTx
	at Checkpoint
}

func (s *slowFills) Fill(_ context.Context, _ *projection.Projection, moves []Move, fn func(Tx) error) error {
	if moves[0].From != s.at {
		return ErrCheckpointMoved
	}
	tx := s.is.clone()
	if err := fn(tx); err != nil {
		return err
	}
	time.Sleep(time.Second)
	s.is, s.at = tx, moves[0].To
	return nil
}

func (s *slowFills) ViewOf(_ context.Context, _ *projection.Projection, _ int, fn func(View) error) error {
	return fn(mapView{is: s.is, at: s.at})
}

type mapView struct {
	View
	is mapTx
	at Checkpoint
}

func (v mapView) Checkpoints(context.Context) ([]Checkpoint, error) { return []Checkpoint{v.at}, nil }

func (v mapView) Heads(ctx context.Context, streams []string) (map[string]StreamHead, error) {
	return v.is.Heads(ctx, streams)
}

func (v mapView) Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error) {
	return v.is.Rows(ctx, table, keys)
}

// fewAtOnce hands over ten records at a time.
type fewAtOnce struct {
	Log
	records []eventlog.Record
}

func (l fewAtOnce) End(context.Context, int32) (int64, error) { return int64(len(l.records)), nil }

func (l fewAtOnce) Follow(ctx context.Context, _ int32, from int64, fn func([]eventlog.Record) error) error {
	for ; from < int64(len(l.records)); from += 10 {
		if err := fn(l.records[from : from+10]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// A lookup sees the rows of the transaction under way.
func TestRebuildLooksUpWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quiet := slog.New(slog.DiscardHandler)
		records := luckyLog(rand.New(rand.NewPCG(1, 1)), 400)
		want := newMapTx()
		if err := apply(t.Context(), want, counts, orders.Registry, records, quiet); err != nil {
			t.Fatal(err)
		}
		store := &slowFills{is: newMapTx()}
		r := &Rebuild{Projection: counts, Store: store, Log: fewAtOnce{records: records}, Events: orders.Registry, Partitions: 1, Logger: quiet}
		f, err := r.filling(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		defer f.stop()
		f.bulk.maxKnown, f.bulk.maxChanged = 5, 5
		if err := f.catchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.heads, store.is.heads); diff != "" || *store.is.looked == 0 {
			t.Errorf("%d looked up, heads (-want +got):\n%s", *store.is.looked, diff)
		}
		if diff := cmp.Diff(want.rows, store.is.rows); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		if want := int64(len(records)); store.at.Next != want {
			t.Errorf("it is at %d of %d", store.at.Next, want)
		}
	})
}
