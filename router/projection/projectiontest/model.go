package projectiontest

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Model is a read model in its own store.
type Model struct {
	t          testing.TB
	events     projection.Decoder
	projection *projection.Projection
	Store      *sqlstore.Store
}

// Open returns a read model of aggregates of these types, in an empty store.
// The first Fold creates the tables.
func Open(t testing.TB, p *projection.Projection, types ...*aggregate.Type) *Model {
	t.Helper()
	registry, err := aggregate.NewRegistry(types...)
	if err != nil {
		t.Fatal(err)
	}
	return &Model{t: t, events: registry, projection: p, Store: openStore(t)}
}

// Fold folds the new records of the log, as the engine of a service does.
func (m *Model) Fold(log *Log) {
	m.t.Helper()
	ctx, stop := context.WithTimeout(m.t.Context(), 20*time.Second)
	defer stop()
	if err := m.Store.Prepare(ctx, m.projection, partitions); err != nil {
		m.t.Fatal(err)
	}
	engine := &readmodel.Engine{
		Projection: m.projection, Store: m.Store, Log: log, Events: m.events, Partitions: partitions,
		BatchSize: 4, Linger: time.Millisecond, Logger: slog.New(slog.DiscardHandler),
	}
	for partition, records := range log.records {
		assignment := kafka.NewAssignment(ctx, int32(partition), func(int64) {})
		from, err := engine.Setup(assignment)
		if err != nil {
			m.t.Fatal(err)
		}
		for _, r := range records[from:] {
			engine.Take(r)
		}
		engine.Cleanup(assignment)
	}
	if at := m.position(ctx); !at.Covers(log.Position()) {
		m.t.Fatalf("folded up to %v, want %v", at, log.Position())
	}
}

func (m *Model) position(ctx context.Context) eventlog.Position {
	m.t.Helper()
	checkpoints, err := m.Store.Checkpoints(ctx, m.projection)
	if err != nil {
		m.t.Fatal(err)
	}
	return readmodel.PositionOf(checkpoints)
}

// Rows returns all rows of a table, by key: a line of JSON for each row.
func (m *Model) Rows(table projection.Table) string {
	m.t.Helper()
	var text strings.Builder
	err := m.Store.View(m.t.Context(), m.projection, func(view readmodel.View) error {
		var columns, key []string
		for _, c := range table.Columns {
			columns = append(columns, `"`+c.Name+`"`)
			if c.Key {
				key = append(key, `"`+c.Name+`"`)
			}
		}
		rows, err := view.Query(m.t.Context(), fmt.Sprintf("SELECT %s FROM {%s} ORDER BY %s", strings.Join(columns, ", "), table.Name, strings.Join(key, ", ")))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			row := make([]any, len(columns))
			at := make([]any, len(columns))
			for i := range row {
				at[i] = &row[i]
			}
			if err := rows.Scan(at...); err != nil {
				return err
			}
			line, err := json.Marshal(row)
			if err != nil {
				return err
			}
			fmt.Fprintf(&text, "\t%s %s\n", table.Name, line)
		}
		return rows.Err()
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return text.String()
}

// Golden folds a log into a read model of aggregates of these types, and
// compares the records and the rows with a golden file. The flag -update writes
// the file.
func Golden(t testing.TB, p *projection.Projection, log *Log, file string, types ...*aggregate.Type) {
	t.Helper()
	m := Open(t, p, types...)
	m.Fold(log)
	var got strings.Builder
	for _, r := range log.all {
		fmt.Fprintf(&got, "%d/%d %s %s %s %s\n", r.Partition, r.Offset, r.Stream, r.CommandID, r.Type, strings.ToValidUTF8(string(r.Body), "�"))
	}
	for _, table := range p.Tables {
		got.WriteString(m.Rows(table))
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
