package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// trips counts the round trips of all connections: a write behind an answer begins
// another one.
type trips struct {
	mu   sync.Mutex
	n    int
	last map[net.Conn]bool // whether the last use was a write
}

// countedConn is a connection whose round trips are counted.
type countedConn struct {
	net.Conn
	trips *trips
}

func (c countedConn) Write(b []byte) (int, error) {
	c.trips.mu.Lock()
	if !c.trips.last[c.Conn] {
		c.trips.n++
	}
	c.trips.last[c.Conn] = true
	c.trips.mu.Unlock()
	return c.Conn.Write(b)
}

func (c countedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.trips.mu.Lock()
		c.trips.last[c.Conn] = false
		c.trips.mu.Unlock()
	}
	return n, err
}

// during returns the number of round trips during fn.
func (t *trips) during(fn func()) int {
	t.mu.Lock()
	before := t.n
	t.mu.Unlock()
	fn()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n - before
}

// counted opens a store whose round trips are counted, by another mode of pgx if
// there is one.
func counted(t *testing.T, mode string) (*Store, *trips) {
	t.Helper()
	u := postgresURLOf(t)
	query := u.Query()
	if mode != "" {
		query.Set("default_query_exec_mode", mode)
	}
	u.RawQuery = query.Encode()
	config, err := parsePostgresURL(u.String())
	if err != nil {
		t.Fatal(err)
	}
	counts, dial := &trips{last: map[net.Conn]bool{}}, config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return countedConn{conn, counts}, err
	}
	return opened(t, openPostgres(config), nil), counts
}

// personAhead is what stepAhead asks.
func personAhead(p *projection.Projection) func() readmodel.Ahead {
	return func() readmodel.Ahead {
		return readmodel.Ahead{
			Streams: []string{p.Name, "nobody"},
			Keys:    []projection.RowKey{{Table: "person", Key: projection.Row{p.Name}}, {Table: "stay", Key: projection.Row{p.Name, int64(1), true}}},
		}
	}
}

// stepAhead is an update that reads, and writes, the row and head of its read
// model.
func stepAhead(t *testing.T, s *Store, p *projection.Projection, next int64) error {
	return s.Update(t.Context(), p, from(at(0, next), at(0, next+1)), personAhead(p), func(tx readmodel.Tx) error {
		heads, err := tx.Heads(t.Context(), []string{p.Name})
		if err != nil {
			return err
		}
		rows, err := tx.Rows(t.Context(), "person", []projection.Row{{p.Name}})
		if err != nil {
			return err
		}
		if next > 0 && (len(rows) != 1 || rows[0][2] != next) || next == 0 && len(rows) > 0 || heads[p.Name].Seq != uint64(next) {
			return fmt.Errorf("at %d: rows %v, heads %v", next, rows, heads)
		}
		head := heads[p.Name]
		head.Seq++
		return errors.Join(
			tx.Put(t.Context(), "person", []projection.Row{{p.Name, "Alice", next + 1, true}}),
			tx.PutHeads(t.Context(), map[string]readmodel.StreamHead{p.Name: head}))
	})
}

// TestRoundTrips holds the number of round trips to the server, after the first
// use of the statements.
func TestRoundTrips(t *testing.T) {
	s, counts := counted(t, "")
	s.write.SetMaxOpenConns(1)
	s.read.SetMaxOpenConns(1)
	var models []*projection.Projection
	for i := range 4 {
		models = append(models, ready(t, s, named(fmt.Sprint("m", i))))
	}
	next := int64(0)
	four := func() {
		var updates []func() error
		for _, p := range models {
			updates = append(updates, func() error { return stepAhead(t, s, p, next) })
		}
		if err := errors.Join(lost(t, s, updates...)...); err != nil {
			t.Fatal(err)
		}
		next++
	}
	alone := func() {
		s.sharing.note(models[0], true)
		if err := stepAhead(t, s, models[0], next); err != nil {
			t.Fatal(err)
		}
		for _, p := range models[1:] {
			s.sharing.note(p, true)
			if err := stepAhead(t, s, p, next); err != nil {
				t.Fatal(err)
			}
		}
		next++
	}
	find := func() {
		err := s.ViewAhead(t.Context(), models[0], personAhead(models[0])(), func(v readmodel.View) error {
			_, err := v.Rows(t.Context(), "person", []projection.Row{{"m0"}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	query := func() { ids(t, s, models[0]) }
	for range 2 { // the server prepares the statements
		four()
		alone()
		find()
		query()
	}
	got := map[string]int{}
	// The transaction that keeps the leader waiting begins and ends with a round trip.
	got["four read models together"] = counts.during(four) - 2
	got["four read models alone"] = counts.during(alone)
	got["rows ahead"] = counts.during(find)
	got["a query, and the end nobody waits for"] = counts.during(query)
	want := map[string]int{
		"four read models together":             2,
		"four read models alone":                8,
		"rows ahead":                            1,
		"a query, and the end nobody waits for": 3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got):", diff)
	}
}

// A pooler between may ask for any mode of pgx.
func TestModesOfPgx(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			s, _ := counted(t, mode)
			a, b := ready(t, s, named("a")), ready(t, s, named("b"))
			for next := range int64(3) {
				failed := together(t, s,
					func() error { return stepAhead(t, s, a, next) },
					func() error { return stepAhead(t, s, b, next) })
				if err := errors.Join(failed...); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				err := s.ViewAhead(t.Context(), a, personAhead(a)(), func(v readmodel.View) error {
					rows, err := v.Rows(t.Context(), "person", []projection.Row{{"a"}})
					if diff := cmp.Diff([]projection.Row{{"a", "Alice", int64(3), true}}, rows); diff != "" {
						t.Error(diff)
					}
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
			exists := func(tx readmodel.Tx) error {
				return tx.InsertHeads(t.Context(), map[string]readmodel.StreamHead{"b": {}})
			}
			failed := together(t, s,
				func() error { return stepAhead(t, s, a, 3) },
				func() error { return s.Update(t.Context(), b, from(at(0, 3), at(0, 4)), nil, exists) })
			if failed[0] != nil || !errors.Is(failed[1], readmodel.ErrHeadExists) {
				t.Error(failed)
			}
			if next := checkpoints(t, s, b)[0].Next; next != 3 {
				t.Errorf("the failed update is at %d", next)
			}
		})
	}
}

// Rows and heads that were read ahead end with a write.
func TestAWriteIsReadAgain(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, p := open(), people()
		prepared(t, s, p)
		key := []projection.Row{{p.Name}}
		err := s.Update(t.Context(), p, from(at(0, 0), at(0, 1)), personAhead(p), func(tx readmodel.Tx) error {
			for _, want := range []int{0, 1, 0} {
				rows, err := tx.Rows(t.Context(), "person", key)
				if err != nil || len(rows) != want {
					t.Errorf("%d rows, and not %d: %v", len(rows), want, err)
				}
				if want == 0 {
					err = tx.Put(t.Context(), "person", []projection.Row{person(p.Name)})
				} else {
					err = tx.Delete(t.Context(), "person", key)
				}
				if err != nil {
					return err
				}
			}
			if err := tx.PutHeads(t.Context(), map[string]readmodel.StreamHead{"nobody": {Parked: "why"}}); err != nil {
				return err
			}
			heads, err := tx.Heads(t.Context(), []string{"nobody"})
			if heads["nobody"].Parked != "why" {
				t.Errorf("heads %v", heads)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// A view that was over before its function asked for more begins again.
func TestAViewAheadThatAsksForMore(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, p := open(), people()
		prepared(t, s, p)
		put(t, s, p, "person", person("a"), person("b"))
		for range 3 {
			var rows []projection.Row
			var found []string
			err := s.ViewAhead(t.Context(), p, readmodel.Ahead{Keys: []projection.RowKey{{Table: "person", Key: projection.Row{"a"}}}}, func(v readmodel.View) error {
				rows, _ = v.Rows(t.Context(), "person", []projection.Row{{"a"}, {"b"}}) // whoever forgets an error gets no half view
				found, _ = askIn[string](t.Context(), v, "SELECT id FROM {person} ORDER BY id")
				return nil
			})
			if err != nil || len(rows) != 2 || len(found) != 2 {
				t.Errorf("%v, %v, %v", rows, found, err)
			}
		}
	})
}

// A view ahead is of the live generation, also after another process has swapped
// and dropped.
func TestAViewAheadAfterASwap(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		s, other, p := open(), open(), people()
		prepared(t, s, p)
		put(t, s, p, "person", person("000"))
		for want := 1; want < 4; want++ {
			for range 2 {
				err := s.ViewAhead(t.Context(), p, readmodel.Ahead{Keys: []projection.RowKey{{Table: "person", Key: projection.Row{"000"}}}}, func(v readmodel.View) error {
					rows, err := v.Rows(t.Context(), "person", []projection.Row{{"000"}})
					if v.Generation() != want || len(rows) != 1 {
						t.Errorf("generation %d, and not %d: %v", v.Generation(), want, rows)
					}
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := errors.Join(rebuildOnce(t, other, p), other.Drop(t.Context(), p, want)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A connection that the server has ended is no error for an update or a view.
func TestStaleConnections(t *testing.T) {
	s, _ := counted(t, "")
	p := ready(t, s, people())
	for next := range int64(3) {
		if err := stepAhead(t, s, p, next); err != nil {
			t.Error("Update:", err)
		}
		err := s.ViewAhead(t.Context(), p, personAhead(p)(), func(v readmodel.View) error {
			rows, err := v.Rows(t.Context(), "person", []projection.Row{{p.Name}})
			if len(rows) != 1 || rows[0][2] != next+1 {
				t.Errorf("rows %v", rows)
			}
			return err
		})
		if err != nil {
			t.Error("ViewAhead:", err)
		}
		if rows := ids(t, s, p); len(rows) != 1 {
			t.Error("View:", rows)
		}
		endAll(t, s)
	}
}

// endAll ends the store's connections at the server.
func endAll(t *testing.T, s *Store) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.dialect.(postgres).config) //nolint:errcheck // a panic fails the test
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	var ended int
	err = conn.QueryRow(t.Context(), "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"+
		" WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()").Scan(&ended)
	if err != nil || ended < 2 {
		t.Fatalf("%d connections, and not one to write and one to read: %v", ended, err)
	}
}
