package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

func TestTextsAreOrderedBytewise(t *testing.T) {
	texts := []string{"", "A", "B", "Z", "_", "a", "a b", "a-b", "aB", "ab", "b", "z", "ß", "ä", "é", "Ω", "￿", "😀"}
	if !slices.IsSorted(texts) {
		t.Fatal("the texts aren't in order")
	}
	shuffled := slices.Clone(texts)
	rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		for _, text := range shuffled {
			put(t, store, p, "person", projection.Row{text, text, int64(len(text)), true})
		}
		if diff := cmp.Diff(texts, ids(t, store, p)); diff != "" {
			t.Error("by key:", diff)
		}
		if diff := cmp.Diff(texts, ask[string](t, store, p, "SELECT name FROM {person} ORDER BY name")); diff != "" {
			t.Error("by another column:", diff)
		}
		got := ask[string](t, store, p, "SELECT id FROM {person} WHERE id > $1 AND name < $2 ORDER BY id DESC", "Z", "ä")
		if diff := cmp.Diff([]string{"ß", "z", "b", "ab", "aB", "a-b", "a b", "a", "_"}, got); diff != "" {
			t.Error("compared:", diff)
		}
		if diff := cmp.Diff([]string{"😀"}, ask[string](t, store, p, "SELECT max(name) FROM {person}")); diff != "" {
			t.Error("largest:", diff)
		}
	})
}

func TestQueries(t *testing.T) {
	type text string
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", projection.Row{"1", "Alice", int64(30), true}, projection.Row{"2", "Bob", int64(40), false})
		put(t, store, p, "stay", projection.Row{"1", int64(7), true}, projection.Row{"1", int64(8), false})
		for range 3 { // prepared by the second time
			for _, test := range []struct {
				query string
				args  []any
				want  []string
			}{
				{"SELECT name FROM {person} WHERE active ORDER BY id", nil, []string{"Alice"}},
				{"SELECT name FROM {person} WHERE active = $1", []any{false}, []string{"Bob"}},
				{"SELECT name FROM {person} WHERE id = $2 OR name = $1 OR id = $2 ORDER BY id", []any{text("Alice"), "2"}, []string{"Alice", "Bob"}},
				{"SELECT name FROM {person} WHERE age > $1 LIMIT $2", []any{int32(30), 1}, []string{"Bob"}},
				{"SELECT p.name FROM {stay} AS s JOIN {person} AS p ON p.id = s.person WHERE s.day = $1", []any{int64(8)}, []string{"Alice"}},
				{"SELECT count(*) FROM {person} WHERE id = $1", []any{"nobody"}, []string{"0"}},
				{"SELECT sum(age) FROM {person}", nil, []string{"70"}},
				{"SELECT active FROM {person} ORDER BY id", nil, []string{"true", "false"}},
			} {
				got := []string{}
				scan := func() {
					if strings.HasPrefix(test.query, "SELECT active") {
						for _, active := range ask[bool](t, store, p, test.query, test.args...) {
							got = append(got, fmt.Sprint(active))
						}
						return
					}
					got = append(got, ask[string](t, store, p, test.query, test.args...)...)
				}
				scan()
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("%s: %s", test.query, diff)
				}
			}
		}
	})
}

func TestQueriesThatFail(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", person("1"))
		for _, test := range []struct {
			query string
			args  []any
		}{
			{"SELECT name FROM {nobody}", nil},
			{`SELECT "nothing" FROM {person}`, nil}, // SQLite would take the name for a text
			{"SELECT name FROM {person} WHERE name = $1", []any{"a\x00"}},
			{"SELECT name FROM {person} WHERE name = $1", []any{"\xff"}},
			{"SELECT name FROM {person} WHERE name = $1", []any{[]string{"Alice"}}},
			{"SELECT name FROM {person} WHERE name = $1", nil},
			{"INSERT INTO {person} (id, name, age, active) VALUES ('2', '', 0, true)", nil},
			{"DELETE FROM {person}", nil},
		} {
			err := store.View(t.Context(), p, func(v readmodel.View) error {
				_, err := askIn[string](t.Context(), v, test.query, test.args...)
				return err
			})
			if err == nil {
				t.Errorf("%s: no error", test.query)
			}
			if errors.Is(err, readmodel.ErrNotPrepared) {
				t.Errorf("%s: %v", test.query, err)
			}
		}
		if diff := cmp.Diff([]string{"1"}, ids(t, store, p)); diff != "" {
			t.Error(diff)
		}
	})
}

// A writer counts up a row together with the checkpoint. A reader sees both of
// the same moment, for the whole view.
func TestViewIsOneSnapshot(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		writer, reader := prepared(t, open(), p), open()
		count := func(next int64) {
			err := writer.Update(t.Context(), p, from(at(0, next-1), at(0, next)), nil, func(tx readmodel.Tx) error {
				return errors.Join(
					tx.PutHeads(t.Context(), map[string]readmodel.StreamHead{"1": {ParkedOffset: next}}),
					tx.Put(t.Context(), "person", []projection.Row{{"1", "", next, true}}))
			})
			if err != nil {
				t.Error(err)
			}
		}
		look := func() (last int64) {
			err := reader.View(t.Context(), p, func(v readmodel.View) error {
				for range 3 {
					ages, err := askIn[int64](t.Context(), v, "SELECT age FROM {person} WHERE id = '1'")
					if err != nil {
						return err
					}
					age := ages[0]
					head, err := v.Head(t.Context(), "1")
					if err != nil {
						return err
					}
					all, err := v.Checkpoints(t.Context())
					if err != nil {
						return err
					}
					if last == 0 {
						last = age
					}
					if all[0] != at(0, last) || age != last || head.ParkedOffset != last {
						t.Errorf("row %d, head %d and checkpoint %d, and before %d", age, head.ParkedOffset, all[0].Next, last)
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			return last
		}

		count(1)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for next := int64(2); !t.Failed(); next++ {
				select {
				case <-stop:
					return
				default:
					count(next)
				}
			}
		}()
		for seen := map[int64]bool{}; len(seen) < 20 && !t.Failed(); {
			seen[look()] = true
		}
		close(stop)
		<-stopped
	})
}

func TestViewEndsWithItsContext(t *testing.T) {
	// Some 6 million rows: more than a database can read in time.
	const long = "SELECT count(*) FROM {person} a, {person} b, {person} c, {person} d WHERE a.age + b.age + c.age + d.age = -1"
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		var rows []projection.Row
		for i := range 50 {
			rows = append(rows, person(fmt.Sprint(i)))
		}
		put(t, store, p, "person", rows...)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := store.View(ctx, p, func(v readmodel.View) error {
			_, err := askIn[int64](ctx, v, long)
			return err
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		// In memory too: the connection may be closed, but the database is
		// still there.
		if got := ids(t, store, p); len(got) != len(rows) {
			t.Errorf("%d rows", len(got))
		}
	})
}

func TestPing(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		store := open()
		if err := store.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := store.Ping(gone); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	})
}

func TestClose(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", person("1"))
		ids(t, store, p)
		for range 2 {
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
		nothing := func(readmodel.Tx) error { return nil }
		for name, err := range map[string]error{
			"Prepare": store.Prepare(t.Context(), p, 4),
			"Update":  store.Update(t.Context(), p, from(at(0, 1), at(0, 2)), nil, nothing),
			"View":    store.View(t.Context(), p, func(readmodel.View) error { return nil }),
			"Ping":    store.Ping(t.Context()),
		} {
			if err == nil || errors.Is(err, readmodel.ErrNotPrepared) || errors.Is(err, readmodel.ErrCheckpointMoved) {
				t.Errorf("%s: error is %v", name, err)
			}
		}
	})
}
