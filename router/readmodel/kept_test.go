package readmodel_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// total counts all events in one row, which all partitions share.
func total() *projection.Projection {
	return &projection.Projection{
		Name: "tally",
		Of:   []string{"order"},
		Tables: []projection.Table{{Name: "total", Columns: []projection.Column{
			{Name: "key", Type: projection.Text, Key: true}, {Name: "events", Type: projection.Integer},
		}}},
		Keys: func(projection.Event) []projection.RowKey {
			return []projection.RowKey{{Table: "total", Key: projection.Row{"all"}}}
		},
		Apply: func(rows projection.Rows, _ projection.Event) error {
			rows.Put("total", projection.Row{"all", rows.Get("total", "all").Integer(1) + 1})
			return nil
		},
	}
}

// process is a store of the same file, with an engine of some partitions.
type process struct {
	readmodel.Store
	*readmodel.Engine
	log     partitioned
	updates int
}

func (p *process) Update(ctx context.Context, of *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	p.updates++
	return p.Store.Update(ctx, of, moves, ahead, fn)
}

func newProcess(t *testing.T, path string, log partitioned, partitions ...int32) *process {
	t.Helper()
	store, err := sqlstore.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	p, of := &process{Store: store, log: log}, total()
	if err := store.Prepare(t.Context(), of, int32(len(log))); err != nil {
		t.Fatal(err)
	}
	p.Engine = &readmodel.Engine{
		Projection: of, Store: p, Log: log, Events: orders.Registry, Partitions: int32(len(log)), BatchSize: 10,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, partition := range partitions {
		if _, err := p.Setup(kafka.NewAssignment(t.Context(), partition, func(int64) {})); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

// fold folds a record of the log in a batch of its own.
func (p *process) fold(t *testing.T, partition int32, offset int64) {
	t.Helper()
	p.Take(p.log[partition].records[offset])
	p.Visible(t.Context(), partition, offset)
}

// total is the row of the tally.
func (p *process) total(t *testing.T) (events int64) {
	t.Helper()
	err := p.View(t.Context(), p.Projection, func(v readmodel.View) error {
		found, err := v.Rows(t.Context(), "total", []projection.Row{{"all"}})
		if len(found) > 0 {
			events = found[0].Integer(1)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return events
}

// Two processes fold two partitions in turn, and share a row.
func TestAnotherProcessWritesBetweenTwoBatches(t *testing.T) {
	const n = 10
	path, log := filepath.Join(t.TempDir(), "read.db"), newPartitioned(2, n)
	processes := []*process{newProcess(t, path, log, 0), newProcess(t, path, log, 1)}
	for offset := range int64(n) {
		for i, p := range processes {
			p.fold(t, int32(i), offset)
		}
	}
	if got := processes[0].total(t); got != 2*n {
		t.Errorf("%d events are counted of %d", got, 2*n)
	}
}

// A hold changes a row and a head between two batches, in this or another
// process.
func TestAHoldBetweenTwoBatches(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		t.Run(fmt.Sprint("elsewhere ", elsewhere), func(t *testing.T) {
			path, log := filepath.Join(t.TempDir(), "read.db"), partitioned{new(writer)}
			log[0].created("a", "x")
			log[0].created("b", "x")
			for range 2 {
				log[0].renamed("a", "y")
				log[0].renamed("b", "y")
			}
			p := newProcess(t, path, log, 0)
			holder := p
			if elsewhere {
				holder = newProcess(t, path, log)
			}
			for offset := range int64(3) {
				p.fold(t, 0, offset)
			}
			err := holder.Hold(t.Context(), holder.Projection, func(tx readmodel.Tx, v readmodel.View) error {
				head, err := v.Head(t.Context(), order("a"))
				if err != nil {
					return err
				}
				head.Parked = "by hand"
				if err := tx.PutHeads(t.Context(), map[string]readmodel.StreamHead{order("a"): head}); err != nil {
					return err
				}
				return tx.Put(t.Context(), "total", []projection.Row{{"all", int64(100)}})
			})
			if err != nil {
				t.Fatal(err)
			}
			for offset := range int64(3) { // two of b count, and one of a does not
				p.fold(t, 0, 3+offset)
			}
			if got := p.total(t); got != 102 {
				t.Errorf("%d events are counted, and not 102", got)
			}
		})
	}
}

// A record that seems to begin a stream, and does not, counts for nothing.
func TestAStreamThatBeginsTwice(t *testing.T) {
	path, log := filepath.Join(t.TempDir(), "read.db"), partitioned{new(writer)}
	log[0].created("a", "x")
	log[0].created("b", "x")
	again := log[0].records[0]
	again.Offset = 2
	log[0].records = append(log[0].records, again)
	newProcess(t, path, log, 0).fold(t, 0, 0)
	p := newProcess(t, path, log, 0) // knows no stream
	for offset := range int64(2) {
		p.fold(t, 0, 1+offset)
	}
	if got := p.total(t); got != 2 {
		t.Errorf("%d events are counted of 2", got)
	}
	if p.updates != 3 {
		t.Errorf("%d updates: the last one fails, and is tried again at once", p.updates)
	}
	var heads []eventlog.Head
	err := p.View(t.Context(), p.Projection, func(v readmodel.View) error {
		return v.EachHead(t.Context(), nil, func(_ string, head readmodel.StreamHead) error {
			heads = append(heads, head.Head)
			return nil
		})
	})
	if err != nil || len(heads) != 2 || heads[0].Seq != 1 || heads[0].Digest != again.Digest {
		t.Errorf("the heads are %+v, %v", heads, err)
	}
}
