package projections_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/projections/projectiontest/orders"
	"github.com/millrace/millrace/projections/sqlstore"
)

// names is a read model for tests: each order's name and number of events. An
// order called "broken" can't be applied, and "panics" panics, until mended.
func names(mended *atomic.Bool) *projections.Projection {
	return &projections.Projection{
		Name: "names",
		Tables: []projections.Table{{Name: "names", Columns: []projections.Column{
			{Name: "id", Type: projections.Text, Key: true},
			{Name: "name", Type: projections.Text},
			{Name: "events", Type: projections.Integer},
		}}},
		Keys: func(e projections.Event) []projections.RowKey {
			return []projections.RowKey{{Table: "names", Key: projections.Row{e.AggregateID}}}
		},
		Apply: func(rows projections.Rows, e projections.Event) error {
			row := rows.Get("names", e.AggregateID)
			if row == nil {
				row = projections.Row{e.AggregateID, "", int64(0)}
			}
			switch data := e.Data.(type) {
			case *orders.OrderPlaced:
				row[1] = data.Name
			case *orders.OrderRenamed:
				row[1] = data.Name
			case *orders.OrderCancelled:
				rows.Delete("names", e.AggregateID)
				return nil
			default:
				return nil
			}
			n, _ := row[2].(int64)
			row[2] = n + 1
			rows.Put("names", row)
			if !mended.Load() {
				switch row[1] {
				case "broken":
					return errors.New("can't be applied")
				case "panics":
					panic("can't be applied")
				}
			}
			return nil
		},
	}
}

// writer writes a log of one partition.
type writer struct {
	records []messaging.Record
	heads   map[string]messaging.Head
}

func (w *writer) write(recordType, stream, body string) *messaging.Record {
	if w.heads == nil {
		w.heads = map[string]messaging.Head{}
	}
	head := w.heads[stream]
	r := messaging.Record{
		Offset: int64(len(w.records)), Type: recordType, Stream: stream, Seq: head.Seq + 1, Prev: head.Digest,
		Version: head.Version, CommandID: fmt.Sprint(len(w.records)), Body: []byte(body),
	}
	if messaging.IsEvent(recordType) {
		r.Version++
	}
	r.Seal()
	w.heads[stream], _ = head.Accept(&r)
	w.records = append(w.records, r)
	return &w.records[len(w.records)-1]
}

// order is the stream of an order.
func order(id string) string { return orders.Aggregate.Stream(id) }

func (w *writer) created(id, name string) {
	w.write("orderPlaced", order(id), fmt.Sprintf(`{"id":%q,"name":%q}`, id, name))
}

func (w *writer) renamed(id, name string) {
	w.write("orderRenamed", order(id), fmt.Sprintf(`{"id":%q,"name":%q}`, id, name))
}

// zombie writes a record that loses its slot.
func (w *writer) zombie(id string) {
	head := w.heads[order(id)]
	w.renamed(id, "zombie")
	w.heads[order(id)] = head
	w.records[len(w.records)-1].Prev = messaging.Digest{9}
	w.records[len(w.records)-1].Seal()
}

// Follow, End and At make it the engine's log.
func (w *writer) Follow(ctx context.Context, _ int32, from int64, fn func([]messaging.Record) error) error {
	if from < int64(len(w.records)) {
		if err := fn(w.records[from:]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *writer) End(context.Context, int32) (int64, error) { return int64(len(w.records)), nil }

func (w *writer) At(_ context.Context, _ int32, offset int64) (messaging.Record, error) {
	return w.records[offset], nil
}

func memory(t *testing.T) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.OpenMemory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// member is an engine that has claimed the partition.
type member struct {
	*projections.Engine
	claim  *messaging.Claim
	marked atomic.Int64
	folded atomic.Int64 // records that it told of
}

func join(t *testing.T, store projections.Store, log projections.Log, p *projections.Projection) (*member, int64) {
	t.Helper()
	if err := store.Prepare(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	m := &member{Engine: &projections.Engine{
		Projection: p, Store: store, Log: log, Events: orders.Registry, Partitions: 1, BatchSize: 10, Linger: time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}}
	m.Folded = func(records int, _ time.Duration) { m.folded.Add(int64(records)) }
	m.claim = messaging.NewClaim(t.Context(), 0, m.marked.Store)
	start, err := m.Setup(m.claim)
	if err != nil {
		t.Fatal(err)
	}
	return m, start
}

func (m *member) feed(records []messaging.Record) {
	for _, r := range records {
		m.Take(r)
	}
}

// rows reads a read model: id → name and number of events.
func rows(t *testing.T, store projections.Store, p *projections.Projection) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := store.View(t.Context(), p, func(v projections.View) error {
		found, err := v.Query(t.Context(), "SELECT id, name, events FROM {names}")
		if err != nil {
			return err
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			var id, name string
			var n int
			if err := found.Scan(&id, &name, &n); err != nil {
				return err
			}
			got[id] = fmt.Sprintf("%s %d", name, n)
		}
		return found.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
