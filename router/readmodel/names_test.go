package readmodel_test

import (
	"context"
	"errors"
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
	"github.com/millrace/millrace/router/sqlstore"
)

// names is a read model for tests: the name and the number of events of each
// order. Until mended, Apply fails for an order called "broken", and panics for
// an order called "panics".
func names(mended *atomic.Bool) *projection.Projection {
	return &projection.Projection{
		Name: "names",
		Tables: []projection.Table{{Name: "names", Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true},
			{Name: "name", Type: projection.Text},
			{Name: "events", Type: projection.Integer},
		}}},
		Keys: func(e projection.Event) []projection.RowKey {
			return []projection.RowKey{{Table: "names", Key: projection.Row{e.AggregateID}}}
		},
		Apply: func(rows projection.Rows, e projection.Event) error {
			row := rows.Get("names", e.AggregateID)
			if row == nil {
				row = projection.Row{e.AggregateID, "", int64(0)}
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
			row[2] = row.Integer(2) + 1
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

// writer writes a log with one partition.
type writer struct {
	records []eventlog.Record
	heads   map[string]eventlog.Head
}

func (w *writer) write(recordType, stream, body string) *eventlog.Record {
	if w.heads == nil {
		w.heads = map[string]eventlog.Head{}
	}
	head := w.heads[stream]
	r := eventlog.Record{
		Offset: int64(len(w.records)), Type: recordType, Stream: stream, Seq: head.Seq + 1, Prev: head.Digest,
		Version: head.Version, CommandID: fmt.Sprint(len(w.records)), Body: []byte(body),
	}
	if eventlog.IsEvent(recordType) {
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

// zombie writes a record of a stale writer: the gate ignores the record.
func (w *writer) zombie(id string) {
	head := w.heads[order(id)]
	w.renamed(id, "zombie")
	w.heads[order(id)] = head
	w.records[len(w.records)-1].Prev = eventlog.Digest{9}
	w.records[len(w.records)-1].Seal()
}

// Follow, End and At implement [readmodel.Log].
func (w *writer) Follow(ctx context.Context, _ int32, from int64, fn func([]eventlog.Record) error) error {
	if from < int64(len(w.records)) {
		if err := fn(w.records[from:]); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *writer) End(context.Context, int32) (int64, error) { return int64(len(w.records)), nil }

func (w *writer) At(_ context.Context, _ int32, offset int64) (eventlog.Record, error) {
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

// member is an engine with an assignment of the partition.
type member struct {
	*readmodel.Engine
	assignment *kafka.Assignment
	marked     atomic.Int64
	folded     atomic.Int64 // records reported by Folded
}

func join(t *testing.T, store readmodel.Store, log readmodel.Log, p *projection.Projection) (*member, int64) {
	t.Helper()
	if err := store.Prepare(t.Context(), p, 1); err != nil {
		t.Fatal(err)
	}
	m := &member{Engine: &readmodel.Engine{
		Projection: p, Store: store, Log: log, Events: orders.Registry, Partitions: 1, BatchSize: 10, Linger: time.Millisecond,
		Logger: slog.New(slog.DiscardHandler),
	}}
	m.Folded = func(records int, _ time.Duration) { m.folded.Add(int64(records)) }
	m.assignment = kafka.NewAssignment(t.Context(), 0, m.marked.Store)
	start, err := m.Setup(m.assignment)
	if err != nil {
		t.Fatal(err)
	}
	return m, start
}

func (m *member) takeAll(records []eventlog.Record) {
	for _, r := range records {
		m.Take(r)
	}
}
