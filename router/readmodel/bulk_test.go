package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// mapTx is a transaction on maps. mapTx counts lookups.
type mapTx struct {
	Tx
	heads  map[string]StreamHead
	rows   map[string]projection.Row
	looked *int
}

func newMapTx() mapTx {
	return mapTx{heads: map[string]StreamHead{}, rows: map[string]projection.Row{}, looked: new(int)}
}

func (t mapTx) clone() mapTx {
	t.heads, t.rows = maps.Clone(t.heads), maps.Clone(t.rows)
	return t
}

func (t mapTx) Heads(_ context.Context, streams []string) (map[string]StreamHead, error) {
	*t.looked += len(streams)
	found := map[string]StreamHead{}
	for _, stream := range streams {
		if head, ok := t.heads[stream]; ok {
			found[stream] = head
		}
	}
	return found, nil
}

func (t mapTx) PutHeads(_ context.Context, heads map[string]StreamHead) error {
	maps.Copy(t.heads, heads)
	return nil
}

func (t mapTx) Rows(_ context.Context, table string, keys []projection.Row) (found []projection.Row, _ error) {
	*t.looked += len(keys)
	for _, key := range keys {
		if row, ok := t.rows[table+KeyText(key)]; ok {
			found = append(found, row)
		}
	}
	return found, nil
}

func (t mapTx) Put(_ context.Context, table string, rows []projection.Row) error {
	for _, row := range rows {
		t.rows[table+KeyText(row[:1])] = slices.Clone(row)
	}
	return nil
}

func (t mapTx) Delete(_ context.Context, table string, keys []projection.Row) error {
	for _, key := range keys {
		delete(t.rows, table+KeyText(key))
	}
	return nil
}

// counts has a row with the number of events for each order, and a row for all
// orders together. A cancelled order loses its row; "broken" parks.
var counts = &projection.Projection{
	Name: "counts",
	Tables: []projection.Table{
		{Name: "orders", Columns: []projection.Column{{Name: "id", Key: true}, {Name: "events", Type: projection.Integer}}},
		{Name: "all", Columns: []projection.Column{{Name: "id", Key: true}, {Name: "events", Type: projection.Integer}}},
	},
	Keys: func(e projection.Event) []projection.RowKey {
		return []projection.RowKey{{Table: "orders", Key: projection.Row{e.AggregateID}}, {Table: "all", Key: projection.Row{"all"}}}
	},
	Apply: func(rows projection.Rows, e projection.Event) error {
		for table, id := range map[string]string{"orders": e.AggregateID, "all": "all"} {
			rows.Put(table, projection.Row{id, rows.Get(table, id).Integer(1) + 1})
		}
		switch data := e.Data.(type) {
		case *orders.OrderCancelled:
			rows.Delete("orders", e.AggregateID)
		case *orders.OrderRenamed:
			if data.Name == "broken" {
				return errors.New("broken")
			}
		}
		return nil
	},
}

// latest has a row with the last event of each order, looks at no rows, and
// changes rows as counts does.
var latest = &projection.Projection{
	Name:   "latest",
	Tables: []projection.Table{{Name: "orders", Columns: []projection.Column{{Name: "id", Key: true}, {Name: "event"}, {Name: "version", Type: projection.Integer}}}},
	Apply: func(rows projection.Rows, e projection.Event) error {
		rows.Put("orders", projection.Row{e.AggregateID, "", int64(0)})
		rows.Put("orders", projection.Row{e.AggregateID, e.CommandID, int64(e.Version)})
		switch data := e.Data.(type) {
		case *orders.OrderCancelled:
			rows.Delete("orders", e.AggregateID)
		case *orders.OrderRenamed:
			if data.Name == "broken" {
				return errors.New("broken")
			}
		}
		return nil
	},
}

// luckyLog returns records of some orders. The gate accepts most records.
func luckyLog(luck *rand.Rand, n int) (records []eventlog.Record) {
	heads := map[string]eventlog.Head{}
	for i := range n {
		id := fmt.Sprint("u", luck.IntN(40))
		stream := orders.Aggregate.Stream(id)
		head := heads[stream]
		r := eventlog.Record{
			Offset: int64(i), Type: "orderRenamed", Stream: stream, Seq: head.Seq + 1, Prev: head.Digest, Version: head.Version + 1,
			CommandID: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"id":%q,"name":"n"}`, id),
		}
		switch luck.IntN(12) {
		case 0:
			r.Prev[0]++ // a stale writer's record
		case 1:
			r.Type = "orderCancelled"
		case 2:
			if luck.IntN(8) == 0 {
				r.Body = fmt.Appendf(nil, `{"id":%q,"name":"broken"}`, id)
			}
		}
		r.Seal()
		heads[stream], _ = head.Accept(&r)
		records = append(records, r)
	}
	return records
}

func entriesOf(records []eventlog.Record) []entry {
	return reading{counts, orders.Registry, nil}.entries(nil, records)
}

// finishedTx calls first before each lookup.
type finishedTx struct {
	stored
	first func()
}

func (s finishedTx) Heads(ctx context.Context, streams []string) (map[string]StreamHead, error) {
	s.first()
	return s.stored.Heads(ctx, streams)
}

func (s finishedTx) Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error) {
	s.first()
	return s.stored.Rows(ctx, table, keys)
}

// A bulk makes the same rows as independent batches: whatever is kept and
// forgotten, whichever transactions are rolled back, and however late the
// changes are written.
func TestBulkIsTheSameFold(t *testing.T) {
	for _, p := range []*projection.Projection{counts, latest} {
		t.Run(p.Name, func(t *testing.T) { bulkIsTheSameFold(t, p) })
	}
}

func bulkIsTheSameFold(t *testing.T, p *projection.Projection) {
	quiet := slog.New(slog.DiscardHandler)
	for seed := range uint64(30) {
		luck := rand.New(rand.NewPCG(seed, 1))
		records := luckyLog(luck, 400)
		want, store := newMapTx(), newMapTx()
		b := newBulk(p, quiet, []Checkpoint{{}})
		b.maxKnown, b.maxChanged, b.maxBytes = luck.IntN(60), luck.IntN(60), luck.IntN(2000)
		b.oneByOne = seed%3 == 0
		var taken []changes // changes under way, until the next lookup
		finish := func() {
			for _, c := range taken {
				if err := errors.Join(c.write(t.Context(), store.clone()), c.write(t.Context(), store)); err != nil {
					t.Fatal(err)
				}
			}
			taken = nil
		}
		for len(records) > 0 {
			n := min(1+luck.IntN(30), len(records))
			batch := records[:n]
			records = records[n:]
			if err := apply(t.Context(), want, p, orders.Registry, batch, quiet); err != nil {
				t.Fatal(err)
			}
			if err := b.apply(t.Context(), finishedTx{store, finish}, entriesOf(batch)); err != nil {
				t.Fatal(err)
			}
			if seed%2 == 1 {
				if b.full(luck.IntN(4) == 0) || len(records) == 0 {
					finish()
					taken = append(taken, b.take())
				}
				if len(records) == 0 {
					finish()
				}
				continue
			}
			end := len(records) == 0 || seed == 0 && len(records) < 200
			for luck.IntN(3) == 0 || b.full(luck.IntN(4) == 0) || end { // some are rolled back
				tx := store.clone()
				if err := b.flush(t.Context(), tx); err != nil {
					t.Fatal(err)
				}
				if luck.IntN(5) > 1 {
					store = tx
					b.flushed()
					break
				}
			}
			if seed == 0 && len(records) < 200 { // as if another process went on
				b = newBulk(p, quiet, []Checkpoint{{Next: 1}})
			}
		}
		if diff := cmp.Diff(want.heads, store.heads); diff != "" {
			t.Fatalf("seed %d: heads (-want +got):\n%s", seed, diff)
		}
		if diff := cmp.Diff(want.rows, store.rows); diff != "" {
			t.Fatalf("seed %d: rows (-want +got):\n%s", seed, diff)
		}
	}
}

func TestBulkLooksNothingUpThatWasNeverWritten(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	records := luckyLog(rand.New(rand.NewPCG(1, 1)), 200)
	for name, test := range map[string]struct {
		at       Checkpoint
		maxKnown int
		looks    bool
	}{
		"from the start":             {Checkpoint{}, 1000, false},
		"from the start, forgetting": {Checkpoint{}, 1, true},
		"from further on":            {Checkpoint{Next: 7}, 1000, true},
	} {
		store := newMapTx()
		b := newBulk(counts, quiet, []Checkpoint{{}, test.at})
		b.maxKnown = test.maxKnown
		for _, half := range [][]eventlog.Record{records[:100], records[100:]} {
			if err := b.commit(t.Context(), store, entriesOf(half)); err != nil {
				t.Fatal(err)
			}
			b.flushed()
		}
		if looks := *store.looked > 0; looks != test.looks {
			t.Errorf("%s: %d looked up", name, *store.looked)
		}
	}
}

// Names in use stay known when the bulk forgets others.
func TestBulkForgetsWhatIsNotInUse(t *testing.T) {
	store := newMapTx()
	b := newBulk(counts, slog.New(slog.DiscardHandler), []Checkpoint{{}})
	b.maxKnown = 2
	seen := eventlog.Head{}
	for i, id := range []string{"a", "busy", "b", "busy", "c", "busy"} {
		r := eventlog.Record{Offset: int64(i), Type: "orderRenamed", Stream: orders.Aggregate.Stream(id), Seq: 1, Version: 1, CommandID: fmt.Sprint(i), Body: fmt.Appendf(nil, `{"id":%q,"name":"n"}`, id)}
		if id == "busy" {
			r.Seq, r.Version, r.Prev = seen.Seq+1, seen.Version+1, seen.Digest
		}
		r.Seal()
		if id == "busy" {
			seen, _ = seen.Accept(&r)
		}
		if err := b.commit(t.Context(), store, entriesOf([]eventlog.Record{r})); err != nil {
			t.Fatal(err)
		}
		if id == "busy" {
			b.flushed()
		}
	}
	if *store.looked > 0 || len(b.streams) > 2 || store.rows["ordersbusy"][1] != int64(3) {
		t.Errorf("%d looked up, %d known, busy has %v", *store.looked, len(b.streams), store.rows["ordersbusy"])
	}
}

// If partitions are read one after the other, the streams of a partition are
// forgotten with its end. Rows that partitions share stay known.
func TestBulkForgetsStreamsOfEndedPartitions(t *testing.T) {
	store := newMapTx()
	b := newBulk(counts, slog.New(slog.DiscardHandler), []Checkpoint{{}})
	b.oneByOne = true
	for partition := range 5 {
		if err := b.commit(t.Context(), store, entriesOf(beginnings(partition))); err != nil {
			t.Fatal(err)
		}
		b.full(true)
		b.flushed()
		if streams, rows := len(b.streams), len(b.rows.tables[0].rows); streams > 0 || rows > 10 {
			t.Errorf("%d streams and %d rows are known after partition %d", streams, rows, partition)
		}
	}
	if *store.looked > 0 || store.rows["allall"][1] != int64(50) {
		t.Errorf("%d looked up, %v", *store.looked, store.rows["allall"])
	}
}

// Rows that nobody looks at count by their size. If partitions are read one after
// the other, the first write begins early.
func TestBulkIsFull(t *testing.T) {
	for oneByOne, want := range map[bool][]bool{
		false: {false, true, false, true, false, true},
		true:  {true, false, true, false, true, false},
	} {
		b := newBulk(latest, slog.New(slog.DiscardHandler), []Checkpoint{{}})
		b.maxBytes, b.oneByOne = 1600, oneByOne // some 500 bytes a partition
		var full []bool
		for partition := range want {
			if err := b.apply(t.Context(), newMapTx(), entriesOf(beginnings(partition))); err != nil {
				t.Fatal(err)
			}
			full = append(full, b.full(true))
			if full[partition] {
				b.take()
			}
		}
		if diff := cmp.Diff(want, full); diff != "" {
			t.Errorf("one by one %v: full (-want +got):\n%s", oneByOne, diff)
		}
	}
}

// beginnings are the first records of ten orders, others for each partition.
func beginnings(partition int) (records []eventlog.Record) {
	for i := range 10 {
		id := fmt.Sprint("u", 10*partition+i)
		r := eventlog.Record{
			Type: "orderRenamed", Stream: orders.Aggregate.Stream(id), Seq: 1, Version: 1, CommandID: "c",
			Body: fmt.Appendf(nil, `{"id":%q,"name":"n"}`, id),
		}
		r.Seal()
		records = append(records, r)
	}
	return records
}
