package sqlstore

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opener opens a store on one database, and another store of the same database
// at each call, if the kind of database allows several.
type opener func() *Store

// onEach runs a test on an empty database of every kind.
func onEach(t *testing.T, test func(*testing.T, opener)) {
	t.Run("sqlite", func(t *testing.T) { test(t, sqliteDatabase(t)) })
	t.Run("memory", func(t *testing.T) {
		store, err := OpenMemory(t.Context())
		test(t, func() *Store { return opened(t, store, err) })
	})
	t.Run("postgres", func(t *testing.T) { test(t, postgresDatabase(t)) })
}

func sqliteDatabase(t testing.TB) opener {
	path := filepath.Join(t.TempDir(), "read.db")
	return func() *Store {
		store, err := OpenSQLite(t.Context(), path)
		return opened(t, store, err)
	}
}

func postgresDatabase(t testing.TB) opener {
	u := postgresURLOf(t)
	return func() *Store {
		store, err := OpenPostgres(t.Context(), u.String())
		return opened(t, store, err)
	}
}

// postgresURLOf is the URL of a new schema on the server of $POSTGRES_URL.
func postgresURLOf(t testing.TB) *url.URL {
	u := postgresURL(t)
	server := u.String()
	schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	onServer := func(statement string) {
		t.Helper()
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := conn.Close(ctx); err != nil {
				t.Error(err)
			}
		}()
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatal(err)
		}
	}
	onServer("CREATE SCHEMA " + schema)
	t.Cleanup(func() { onServer("DROP SCHEMA " + schema + " CASCADE") })
	query := u.Query()
	query.Set("search_path", schema)
	query.Set("application_name", schema)
	u.RawQuery = query.Encode()
	return u
}

func opened(t testing.TB, store *Store, err error) *Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// people is a read model with two tables.
func people() *projection.Projection {
	return &projection.Projection{
		Name: "people",
		Tables: []projection.Table{{
			Name: "person",
			Columns: []projection.Column{
				{Name: "id", Type: projection.Text, Key: true},
				{Name: "name", Type: projection.Text},
				{Name: "age", Type: projection.Integer},
				{Name: "active", Type: projection.Boolean},
			},
			Indexes: [][]string{{"name"}, {"active", "age"}},
		}, {
			Name: "stay",
			Columns: []projection.Column{
				{Name: "person", Type: projection.Text, Key: true},
				{Name: "day", Type: projection.Integer, Key: true},
				{Name: "booked", Type: projection.Boolean, Key: true},
			},
		}},
	}
}

// prepared is a store with a prepared read model of 4 partitions.
func prepared(t testing.TB, store *Store, p *projection.Projection) *Store {
	t.Helper()
	if err := store.Prepare(t.Context(), p, 4); err != nil {
		t.Fatal(err)
	}
	return store
}

func at(partition int32, next int64) readmodel.Checkpoint {
	c := readmodel.Checkpoint{Generation: 1, Partition: partition, Next: next}
	if next > 0 {
		c.Digest = digest(byte(next))
	}
	return c
}

// from is a move of one partition.
func from(before, after readmodel.Checkpoint) []readmodel.Move {
	return []readmodel.Move{{From: before, To: after}}
}

func digest(b byte) (d eventlog.Digest) {
	for i := range d {
		d[i] = b
	}
	return d
}

// update moves partition 0 by one record.
func update(t testing.TB, store *Store, p *projection.Projection, fn func(context.Context, readmodel.Tx) error) {
	t.Helper()
	before := checkpoints(t, store, p)[0]
	err := store.Update(t.Context(), p, from(before, at(0, before.Next+1)), nil, func(tx readmodel.Tx) error { return fn(t.Context(), tx) })
	if err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, store *Store, p *projection.Projection, table string, rows ...projection.Row) {
	t.Helper()
	update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error { return tx.Put(ctx, table, rows) })
}

func checkpoints(t testing.TB, store *Store, p *projection.Projection) []readmodel.Checkpoint {
	t.Helper()
	all, err := store.Checkpoints(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ask returns the only column of a query's rows.
func ask[T any](t testing.TB, store *Store, p *projection.Projection, query string, args ...any) (all []T) {
	t.Helper()
	err := store.View(t.Context(), p, func(v readmodel.View) (err error) {
		all, err = askIn[T](t.Context(), v, query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func askIn[T any](ctx context.Context, v readmodel.View, query string, args ...any) ([]T, error) {
	rows, err := v.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		var one T
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func ids(t testing.TB, store *Store, p *projection.Projection) []string {
	t.Helper()
	return ask[string](t, store, p, "SELECT id FROM {person} ORDER BY id")
}

func person(id string) projection.Row { return projection.Row{id, "Alice", int64(30), true} }
