package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

func TestHeads(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, other := people(), people()
		other.Name = "others"
		store := prepared(t, prepared(t, open(), p), other)
		heads := map[string]readmodel.StreamHead{
			"1": {Head: eventlog.Head{Seq: 3, Version: 2, Digest: digest(7)}},
			"2": {Head: eventlog.Head{Seq: 1, Version: 1, Digest: digest(255)}, Parked: "it's \"unreadable\" 🚧", ParkedOffset: 1 << 40},
			"ü'": {
				Head:    eventlog.Head{Seq: math.MaxInt64, Version: math.MaxInt64},
				Decided: eventlog.CommandPosition{TopicID: "q2Hn6X9yTkOYw1mVbZ0aLg", Offset: math.MaxInt64},
			},
		}
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error { return tx.PutHeads(ctx, heads) })
		heads["1"] = readmodel.StreamHead{Head: eventlog.Head{Seq: 4, Version: 2, Digest: digest(9)}}
		heads["bad"] = readmodel.StreamHead{Parked: "no text: \x00\xff"}
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			return tx.PutHeads(ctx, map[string]readmodel.StreamHead{"1": heads["1"], "bad": heads["bad"]})
		})
		heads["bad"] = readmodel.StreamHead{Parked: "no text: \uFFFD\uFFFD"}

		var got map[string]readmodel.StreamHead
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) (err error) {
			got, err = tx.Heads(ctx, []string{"1", "2", "ü'", "never", "1", "bad"})
			return err
		})
		if diff := cmp.Diff(heads, got); diff != "" {
			t.Error(diff)
		}
		update(t, store, other, func(ctx context.Context, tx readmodel.Tx) (err error) {
			got, err = tx.Heads(ctx, []string{"1"})
			return err
		})
		if len(got) != 0 {
			t.Errorf("another read model has heads %v", got)
		}
		err := store.View(t.Context(), p, func(v readmodel.View) error {
			parked, err := v.Parked(t.Context(), []string{"1", "2", "never"})
			if diff := cmp.Diff(map[string]readmodel.StreamHead{"2": heads["2"]}, parked); diff != "" || err != nil {
				t.Errorf("parked: %s, %v", diff, err)
			}
			for stream, want := range map[string]readmodel.StreamHead{"2": heads["2"], "never": {}} {
				got, err := v.Head(t.Context(), stream)
				if err != nil {
					return err
				}
				if got != want {
					t.Errorf("head of %s is %v", stream, got)
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// byKey sorts rows, because Rows returns rows in any order.
var byKey = cmpopts.SortSlices(func(a, b projection.Row) bool { return fmt.Sprint(a) < fmt.Sprint(b) })

func TestRows(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		rows := func(table string, keys ...projection.Row) (found []projection.Row) {
			update(t, store, p, func(ctx context.Context, tx readmodel.Tx) (err error) {
				found, err = tx.Rows(ctx, table, keys)
				return err
			})
			return found
		}
		is := func(step string, want, got []projection.Row) {
			t.Helper()
			if diff := cmp.Diff(want, got, byKey, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", step, diff)
			}
		}
		alice, bob := projection.Row{"1", "Alice", int64(30), true}, projection.Row{"2", "Bob", int64(-1), false}
		put(t, store, p, "person", alice, bob)
		is("put", []projection.Row{alice, bob}, rows("person", projection.Row{"2"}, projection.Row{"1"}, projection.Row{"2"}, projection.Row{"3"}))
		is("no keys", nil, rows("person"))

		robert, rob := projection.Row{"2", "Robert", int64(1), true}, projection.Row{"2", "Rob", int64(2), false}
		put(t, store, p, "person", robert, rob)
		is("replaced, twice at once", []projection.Row{rob}, rows("person", projection.Row{"2"}))
		put(t, store, p, "person")
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			return errors.Join(
				tx.Delete(ctx, "person", []projection.Row{{"1"}, {"3"}}),
				tx.Delete(ctx, "person", nil))
		})
		is("deleted", []projection.Row{rob}, rows("person", projection.Row{"1"}, projection.Row{"2"}))

		stays := []projection.Row{{"1", int64(1), true}, {"1", int64(2), true}, {"2", int64(1), true}, {"2", int64(1), false}}
		put(t, store, p, "stay", stays...)
		put(t, store, p, "stay", stays[0]) // without a row to replace
		is("composite keys", []projection.Row{stays[0], stays[3]},
			rows("stay", stays[0], stays[3], projection.Row{"1", int64(1), false}, projection.Row{"2", int64(2), true}))
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			return tx.Delete(ctx, "stay", []projection.Row{stays[1], stays[2], {"1", int64(1), false}})
		})
		is("deleted by composite keys", []projection.Row{stays[0], stays[3]}, rows("stay", stays...))
	})
}

func TestRowsByTheThousand(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		var persons, stays, keys []projection.Row
		for i := range 2500 {
			id := fmt.Sprintf("%04d", i)
			persons = append(persons, person(id))
			stays = append(stays, projection.Row{id, int64(i), true})
			keys = append(keys, projection.Row{id})
		}
		put(t, store, p, "person", persons...)
		put(t, store, p, "stay", stays...)
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			for table, keys := range map[string][]projection.Row{"person": keys, "stay": stays} {
				rows, err := tx.Rows(ctx, table, keys)
				if err != nil {
					return err
				}
				if len(rows) != 2500 {
					t.Errorf("%d rows of %s", len(rows), table)
				}
				if err := tx.Delete(ctx, table, keys[1:]); err != nil {
					return err
				}
			}
			return nil
		})
		if diff := cmp.Diff([]string{"0000"}, ids(t, store, p)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	texts := []string{
		"", " ", "'", `"`, "\\", "\t\r\n", "%_", "--", ";", "$1", "?1", "{person}", "ü", "e\u0301", "日本語", "🧑‍🚀", "\u2028", "\uFFFD", "\U0010FFFF",
		"\x01\x7f", "<&>", "null", "true", "1", "01", "1.0", "1e3", "[1]", `{"a":1}`, "9223372036854775808",
	}
	numbers := []int64{0, 1, -1, 1<<53 + 1, -1<<53 - 1, math.MaxInt64, math.MinInt64}
	var persons, personKeys, stays []projection.Row
	for i, text := range texts {
		persons = append(persons, projection.Row{text, text, numbers[i%len(numbers)], i%2 == 0})
		personKeys = append(personKeys, projection.Row{text})
		for _, number := range numbers {
			stays = append(stays, projection.Row{text, number, i%2 == 0})
		}
	}
	// PostgreSQL limits a key and an index entry to about 2,700 bytes.
	persons = append(persons, projection.Row{strings.Repeat("k", 2000), strings.Repeat("n", 2000), int64(0), true})
	personKeys = append(personKeys, projection.Row{strings.Repeat("k", 2000)})

	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", persons...)
		put(t, store, p, "stay", stays...)
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			for table, want := range map[string][2][]projection.Row{"person": {personKeys, persons}, "stay": {stays, stays}} {
				got, err := tx.Rows(ctx, table, want[0])
				if err != nil {
					return err
				}
				if diff := cmp.Diff(want[1], got, byKey); diff != "" {
					t.Errorf("%s: %s", table, diff)
				}
			}
			return nil
		})
		for _, row := range persons {
			got := ask[int64](t, store, p, "SELECT age FROM {person} WHERE id = $1 AND name = $2 AND active = $3 AND age = $4", row[0], row[1], row[3], row[2])
			if diff := cmp.Diff([]int64{row[2].(int64)}, got); diff != "" { //nolint:errcheck // a panic fails the test
				t.Errorf("%q: %s", row[0], diff)
			}
		}
	})
}

func TestValuesThatNotEveryDatabaseTakes(t *testing.T) {
	rows := map[string]projection.Row{
		"NUL":              {"1", "a\x00b", int64(1), true},
		"not UTF-8":        {"1", "\xff", int64(1), true},
		"lone surrogate":   {"1", "\xed\xa0\x80", int64(1), true},
		"NUL in the key":   {"\x00", "a", int64(1), true},
		"int":              {"1", "a", 1, true},
		"number as text":   {"1", int64(1), int64(1), true},
		"text as number":   {"1", "a", "1", true},
		"number as bool":   {"1", "a", int64(1), int64(1)},
		"bytes":            {"1", []byte("a"), int64(1), true},
		"null":             {"1", nil, int64(1), true},
		"too few columns":  {"1", "a", int64(1)},
		"too many columns": {"1", "a", int64(1), true, true},
	}
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			for name, row := range rows {
				if err := tx.Put(ctx, "person", []projection.Row{person("ok"), row}); err == nil {
					t.Errorf("put %s: no error", name)
				}
			}
			for name, key := range map[string]projection.Row{"NUL": {"\x00"}, "null": {nil}, "number": {int64(1)}, "too many": {"1", "2"}, "none": {}} {
				if _, err := tx.Rows(ctx, "person", []projection.Row{key}); err == nil {
					t.Errorf("rows by %s: no error", name)
				}
				if err := tx.Delete(ctx, "person", []projection.Row{key}); err == nil {
					t.Errorf("delete by %s: no error", name)
				}
			}
			if _, err := tx.Rows(ctx, "nobody", nil); err == nil {
				t.Error("rows of an unknown table: no error")
			}
			return nil // a refused value doesn't reach the database
		})
		if got := ids(t, store, p); len(got) != 0 {
			t.Errorf("rows %v", got)
		}
	})
}
