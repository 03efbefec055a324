package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
)

func TestPrepareMakesCheckpointsAtZero(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		if diff := cmp.Diff([]projections.Checkpoint{{}, {Partition: 1}, {Partition: 2}, {Partition: 3}}, checkpoints(t, store, p)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPrepareAgainChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		put(t, prepared(t, open(), p), p, "person", person("1"))
		store := prepared(t, open(), people())
		if diff := cmp.Diff([]string{"1"}, ids(t, store, p)); diff != "" {
			t.Error(diff)
		}
		if got := checkpoints(t, store, p)[0]; got != at(0, 1) {
			t.Errorf("checkpoint is %v", got)
		}
	})
}

func TestPrepareByManyAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		const stores, each = 3, 6
		failed := make(chan error, stores*each)
		for range stores {
			store := open()
			for i := range each {
				p := people()
				p.Name = fmt.Sprint("people", i%2)
				go func() { failed <- store.Prepare(t.Context(), p, 4) }()
			}
		}
		for range stores * each {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
	})
}

func TestPrepareRefusesOtherColumns(t *testing.T) {
	changes := map[string]func(*projections.Table){
		"renamed": func(t *projections.Table) { t.Columns[1].Name, t.Indexes = "nickname", nil },
		"added": func(t *projections.Table) {
			t.Columns = append(t.Columns, projections.Column{Name: "email", Type: projections.Text})
		},
		"left out":   func(t *projections.Table) { t.Columns, t.Indexes = t.Columns[:3], nil },
		"reordered":  func(t *projections.Table) { t.Columns[1], t.Columns[2] = t.Columns[2], t.Columns[1] },
		"other type": func(t *projections.Table) { t.Columns[2].Type = projections.Text },
		"other key":  func(t *projections.Table) { t.Columns[1].Key = true },
	}
	onEach(t, func(t *testing.T, open opener) {
		prepared(t, open(), people())
		for name, change := range changes {
			p := people()
			change(&p.Tables[0])
			err := open().Prepare(t.Context(), p, 4)
			if err == nil || !strings.Contains(err.Error(), "must be rebuilt") || !strings.Contains(err.Error(), "people_person_1") {
				t.Errorf("%s: error is %v", name, err)
			}
		}
		p := people()
		p.Tables[0].Indexes = [][]string{{"age"}}
		if err := open().Prepare(t.Context(), p, 4); err != nil {
			t.Error("another index:", err)
		}
	})
}

func TestReadsBeforePrepare(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		store, p := open(), people()
		read := func(step string) {
			if _, err := store.Checkpoints(t.Context(), p); !errors.Is(err, projections.ErrNotPrepared) {
				t.Errorf("%s: Checkpoints: %v", step, err)
			}
			err := store.View(t.Context(), p, func(projections.View) error { t.Errorf("%s: there is a view", step); return nil })
			if !errors.Is(err, projections.ErrNotPrepared) {
				t.Errorf("%s: View: %v", step, err)
			}
		}
		read("empty database")
		other := people()
		other.Name = "others"
		prepared(t, open(), other)
		read("another read model")
		prepared(t, open(), p)
		if got := ids(t, store, p); len(got) != 0 {
			t.Errorf("rows %v", got)
		}
	})
}

func TestUpdateMovesACheckpointOnce(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		stores := []*Store{prepared(t, open(), p), open()}
		const racers, rounds = 6, 5
		var winners []string
		for round := range int64(rounds) {
			failed := make(chan error, racers)
			names := make(chan string, racers)
			for racer := range racers {
				go func() {
					id := fmt.Sprintf("%d by %d", round, racer)
					err := stores[racer%2].Update(t.Context(), p, at(2, round), at(2, round+1), func(tx projections.Tx) error {
						return tx.Put(t.Context(), "person", []projections.Row{person(id)})
					})
					if err == nil {
						names <- id
					}
					failed <- err
				}()
			}
			for range racers {
				if err := <-failed; err != nil && !errors.Is(err, projections.ErrCheckpointMoved) {
					t.Fatal(err)
				}
			}
			close(names)
			for name := range names {
				winners = append(winners, name)
			}
			if len(winners) != int(round)+1 {
				t.Fatalf("round %d: the winners are %v", round, winners)
			}
		}
		if diff := cmp.Diff(winners, ids(t, stores[0], p)); diff != "" {
			t.Error(diff)
		}
		want := []projections.Checkpoint{at(0, 0), at(1, 0), at(2, rounds), at(3, 0)}
		if diff := cmp.Diff(want, checkpoints(t, stores[0], p)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUpdateFromElsewhereTouchesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", person("1"))
		otherDigest := at(0, 1)
		otherDigest.Digest[31]++
		for name, from := range map[string]projections.Checkpoint{
			"behind": at(0, 0), "ahead": at(0, 2), "other digest": otherDigest, "no such partition": at(9, 0),
		} {
			err := store.Update(t.Context(), p, from, at(from.Partition, 7), func(projections.Tx) error {
				t.Errorf("%s: it goes on", name)
				return nil
			})
			if !errors.Is(err, projections.ErrCheckpointMoved) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := checkpoints(t, store, p)[0]; got != at(0, 1) {
			t.Errorf("checkpoint is %v", got)
		}
	})
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", person("before"))
		write := func(tx projections.Tx) {
			t.Helper()
			err := errors.Join(
				tx.Put(t.Context(), "person", []projections.Row{person("after")}),
				tx.Delete(t.Context(), "person", []projections.Row{{"before"}}),
				tx.PutHeads(t.Context(), map[string]projections.StreamHead{"after": {}}))
			if err != nil {
				t.Error(err)
			}
		}
		unchanged := func(name string) {
			t.Helper()
			if diff := cmp.Diff([]string{"before"}, ids(t, store, p)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			if got := checkpoints(t, store, p)[0]; got != at(0, 1) {
				t.Errorf("%s: checkpoint is %v", name, got)
			}
		}

		sentinel := errors.New("of fn")
		err := store.Update(t.Context(), p, at(0, 1), at(0, 2), func(tx projections.Tx) error {
			write(tx)
			return sentinel
		})
		if err != sentinel { //nolint:errorlint // it is returned as it is
			t.Errorf("error is %v", err)
		}
		unchanged("error")

		func() {
			defer func() {
				if got := recover(); got != "of fn" {
					t.Errorf("recovered %v", got)
				}
			}()
			_ = store.Update(t.Context(), p, at(0, 1), at(0, 2), func(tx projections.Tx) error {
				write(tx)
				panic("of fn")
			})
		}()
		unchanged("panic")

		ctx, cancel := context.WithCancel(t.Context())
		err = store.Update(ctx, p, at(0, 1), at(0, 2), func(tx projections.Tx) error {
			write(tx)
			cancel()
			return nil
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		unchanged("cancelled")

		put(t, store, p, "person", person("next"))
		if diff := cmp.Diff([]string{"before", "next"}, ids(t, store, p)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestUpdateEndsWithItsContext(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		first, second := prepared(t, open(), p), open()
		nothing := func(projections.Tx) error { return nil }
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Update(gone, p, at(1, 0), at(1, 1), nothing); !errors.Is(err, context.Canceled) {
			t.Errorf("before it began: %v", err)
		}
		err := first.Update(t.Context(), p, at(0, 0), at(0, 1), func(projections.Tx) error {
			soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := second.Update(soon, p, at(1, 0), at(1, 1), nothing); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("while it waits: %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if got := checkpoints(t, second, p); got[0] != at(0, 1) || got[1] != at(1, 0) {
			t.Errorf("checkpoints are %v", got)
		}
	})
}

// A row that two partitions change, a count of all users, say.
func TestPartitionsShareRows(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		stores := []*Store{prepared(t, open(), p), open()}
		const rounds = 20
		var wg sync.WaitGroup
		for partition := range int32(4) {
			wg.Go(func() {
				for next := range int64(rounds) {
					err := stores[partition%2].Update(t.Context(), p, at(partition, next), at(partition, next+1), func(tx projections.Tx) error {
						rows, err := tx.Rows(t.Context(), "person", []projections.Row{{"all"}})
						if err != nil {
							return err
						}
						count := projections.Row{"all", "", int64(1), true}
						if len(rows) > 0 {
							count[2] = rows[0][2].(int64) + 1 //nolint:errcheck // it panics, and the test fails
						}
						return tx.Put(t.Context(), "person", []projections.Row{count})
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff([]int64{4 * rounds}, ask[int64](t, stores[0], p, "SELECT age FROM {person}")); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHeads(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, other := people(), people()
		other.Name = "others"
		store := prepared(t, prepared(t, open(), p), other)
		heads := map[string]projections.StreamHead{
			"1":  {Head: messaging.Head{Seq: 3, Version: 2, Digest: digest(7)}},
			"2":  {Head: messaging.Head{Seq: 1, Version: 1, Digest: digest(255)}, Parked: "it's \"unreadable\" 🚧", ParkedOffset: 1 << 40},
			"ü'": {Head: messaging.Head{Seq: math.MaxInt64, Version: math.MaxInt64}},
		}
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error { return tx.PutHeads(ctx, heads) })
		heads["1"] = projections.StreamHead{Head: messaging.Head{Seq: 4, Version: 2, Digest: digest(9)}}
		heads["bad"] = projections.StreamHead{Parked: "no text: \x00\xff"}
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error {
			return tx.PutHeads(ctx, map[string]projections.StreamHead{"1": heads["1"], "bad": heads["bad"]})
		})
		heads["bad"] = projections.StreamHead{Parked: "no text: \uFFFD\uFFFD"}

		var got map[string]projections.StreamHead
		update(t, store, p, func(ctx context.Context, tx projections.Tx) (err error) {
			got, err = tx.Heads(ctx, []string{"1", "2", "ü'", "never", "1", "bad"})
			return err
		})
		if diff := cmp.Diff(heads, got); diff != "" {
			t.Error(diff)
		}
		update(t, store, other, func(ctx context.Context, tx projections.Tx) (err error) {
			got, err = tx.Heads(ctx, []string{"1"})
			return err
		})
		if len(got) != 0 {
			t.Errorf("another read model has heads %v", got)
		}
		err := store.View(t.Context(), p, func(v projections.View) error {
			for stream, want := range map[string]projections.StreamHead{"2": heads["2"], "never": {}} {
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

// byKey orders rows, whose order is left open.
var byKey = cmpopts.SortSlices(func(a, b projections.Row) bool { return fmt.Sprint(a) < fmt.Sprint(b) })

func TestRows(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		rows := func(table string, keys ...projections.Row) (found []projections.Row) {
			update(t, store, p, func(ctx context.Context, tx projections.Tx) (err error) {
				found, err = tx.Rows(ctx, table, keys)
				return err
			})
			return found
		}
		is := func(step string, want, got []projections.Row) {
			t.Helper()
			if diff := cmp.Diff(want, got, byKey, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s: %s", step, diff)
			}
		}
		alice, bob := projections.Row{"1", "Alice", int64(30), true}, projections.Row{"2", "Bob", int64(-1), false}
		put(t, store, p, "person", alice, bob)
		is("put", []projections.Row{alice, bob}, rows("person", projections.Row{"2"}, projections.Row{"1"}, projections.Row{"2"}, projections.Row{"3"}))
		is("no keys", nil, rows("person"))

		robert, rob := projections.Row{"2", "Robert", int64(1), true}, projections.Row{"2", "Rob", int64(2), false}
		put(t, store, p, "person", robert, rob)
		is("replaced, twice at once", []projections.Row{rob}, rows("person", projections.Row{"2"}))
		put(t, store, p, "person")
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error {
			return errors.Join(
				tx.Delete(ctx, "person", []projections.Row{{"1"}, {"3"}}),
				tx.Delete(ctx, "person", nil))
		})
		is("deleted", []projections.Row{rob}, rows("person", projections.Row{"1"}, projections.Row{"2"}))

		stays := []projections.Row{{"1", int64(1), true}, {"1", int64(2), true}, {"2", int64(1), true}, {"2", int64(1), false}}
		put(t, store, p, "stay", stays...)
		put(t, store, p, "stay", stays[0]) // it has nothing to replace
		is("composite keys", []projections.Row{stays[0], stays[3]},
			rows("stay", stays[0], stays[3], projections.Row{"1", int64(1), false}, projections.Row{"2", int64(2), true}))
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error {
			return tx.Delete(ctx, "stay", []projections.Row{stays[1], stays[2], {"1", int64(1), false}})
		})
		is("deleted by composite keys", []projections.Row{stays[0], stays[3]}, rows("stay", stays...))
	})
}

func TestRowsByTheThousand(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		var persons, stays, keys []projections.Row
		for i := range 5000 {
			id := fmt.Sprintf("%04d", i)
			persons = append(persons, person(id))
			stays = append(stays, projections.Row{id, int64(i), true})
			keys = append(keys, projections.Row{id})
		}
		put(t, store, p, "person", persons...)
		put(t, store, p, "stay", stays...)
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error {
			for table, keys := range map[string][]projections.Row{"person": keys, "stay": stays} {
				rows, err := tx.Rows(ctx, table, keys)
				if err != nil {
					return err
				}
				if len(rows) != 5000 {
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

func TestValues(t *testing.T) {
	texts := []string{
		"", " ", "'", `"`, `\`, "\t\r\n", "%_", "--", ";", "$1", "{person}", "ü", "e\u0301", "日本語", "🧑‍🚀", "\u2028", "\uFFFD", "\U0010FFFF",
		"\x01\x7f", "<&>", "null", "true", "1", "01", "1.0", "1e3", "[1]", "{}", strings.Repeat("long ", 10000),
	}
	numbers := []int64{0, 1, -1, 1<<53 + 1, -1<<53 - 1, math.MaxInt64, math.MinInt64}
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		var persons, personKeys, stays []projections.Row
		for i, text := range texts {
			persons = append(persons, projections.Row{text, text, numbers[i%len(numbers)], i%2 == 0})
			personKeys = append(personKeys, projections.Row{text})
			// Beyond some 2,700 bytes no index of PostgreSQL takes a text: that isn't for keys.
			for _, number := range numbers {
				stays = append(stays, projections.Row{text, number, i%2 == 0})
			}
		}
		persons, personKeys = persons[:len(persons)-1], personKeys[:len(personKeys)-1]
		stays = stays[:len(stays)-len(numbers)]
		persons = append(persons, projections.Row{"long", texts[len(texts)-1], int64(0), true})
		put(t, store, p, "person", persons...)
		_ = personKeys
	})
	_ = slices.Sort[[]int]
}
