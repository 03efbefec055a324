package sqlstore

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// of is a checkpoint of another generation.
func of(generation int, c readmodel.Checkpoint) readmodel.Checkpoint {
	c.Generation = generation
	return c
}

// begin creates a generation with these rows, and with partition 0 at next.
func begin(t testing.TB, store *Store, p *projection.Projection, next int64, rows ...projection.Row) int {
	t.Helper()
	generation, err := store.Begin(t.Context(), p, 4)
	if err != nil {
		t.Fatal(err)
	}
	err = store.Fill(t.Context(), p, from(of(generation, at(0, 0)), of(generation, at(0, next))), func(tx readmodel.Tx) error {
		return tx.Put(t.Context(), "person", rows)
	})
	if err != nil {
		t.Fatal(err)
	}
	return generation
}

func nothing(readmodel.Tx) error { return nil }

func asItIs([]readmodel.Checkpoint, readmodel.Fill) error { return nil }

func states(t testing.TB, store *Store, p *projection.Projection) (all []string) {
	t.Helper()
	list, err := store.Generations(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range list {
		all = append(all, fmt.Sprintf("%d %s: %d rows, %d parked, %d", g.Number, g.State, g.Rows, g.Parked, g.Checkpoints[0].Next))
	}
	return all
}

func TestGenerations(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, ctx := people(), t.Context()
		store, other := open(), open()
		is := func(step string, want ...string) {
			t.Helper()
			for _, s := range []*Store{store, other} {
				if diff := cmp.Diff(want, states(t, s, p)); diff != "" {
					t.Errorf("%s: %s", step, diff)
				}
			}
		}
		is("empty database")
		put(t, prepared(t, store, p), p, "person", person("live"))
		if n := begin(t, other, p, 7, person("new"), person("newer")); n != 2 {
			t.Errorf("generation %d after the first", n)
		}
		is("begun", "1 live: 1 rows, 0 parked, 1", "2 building: 2 rows, 0 parked, 7")
		if building, err := other.Building(ctx, p); err != nil || len(building) != 4 || building[0].Next != 7 {
			t.Errorf("building: %v, %v", building, err)
		}
		if diff := cmp.Diff([]string{"live"}, ids(t, other, p)); diff != "" {
			t.Error(diff)
		}
		if err := store.Finish(ctx, p, 2); err != nil {
			t.Error(err)
		}
		if building, err := other.Building(ctx, p); err != nil || building != nil {
			t.Errorf("nothing is building: %v, %v", building, err)
		}
		is("finished", "1 live: 1 rows, 0 parked, 1", "2 ready: 2 rows, 0 parked, 7")
		if err := store.Swap(ctx, p, 2, asItIs); err != nil {
			t.Error(err)
		}
		is("swapped", "1 old: 1 rows, 0 parked, 1", "2 live: 2 rows, 0 parked, 7")
		for _, s := range []*Store{store, other} {
			if diff := cmp.Diff([]string{"new", "newer"}, ids(t, s, p)); diff != "" {
				t.Error(diff)
			}
			if got := checkpoints(t, s, p)[0]; got != of(2, at(0, 7)) {
				t.Errorf("checkpoint %v", got)
			}
		}
		for name, err := range map[string]error{
			"drop the live one": store.Drop(ctx, p, 2), "swap to it": store.Swap(ctx, p, 2, asItIs),
			"drop none": store.Drop(ctx, p, 9), "swap to none": store.Swap(ctx, p, 9, asItIs),
		} {
			if err == nil || !strings.Contains(err.Error(), "generation") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := errors.Join(store.Drop(ctx, p, 1), store.Drop(ctx, p, 1)); err != nil {
			t.Error("drop, and again:", err)
		}
		is("dropped", "2 live: 2 rows, 0 parked, 7")
		if n := begin(t, store, p, 1); n != 3 {
			t.Errorf("generation %d: numbers are not used again", n)
		}
	})
}

func TestUpdatesAndFillsKeepToTheirGeneration(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, ctx := people(), t.Context()
		store, other := prepared(t, open(), p), open()
		begin(t, store, p, 1)
		moved := func(step string, err error) {
			t.Helper()
			if !errors.Is(err, readmodel.ErrCheckpointMoved) {
				t.Errorf("%s: %v", step, err)
			}
		}
		moved("update what isn't live", store.Update(ctx, p, from(of(2, at(0, 1)), of(2, at(0, 2))), nil, nothing))
		moved("fill the live one", store.Fill(ctx, p, from(at(0, 0), at(0, 1)), nothing))
		if err := store.Swap(ctx, p, 2, asItIs); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{store, other} {
			moved("update what was live", s.Update(ctx, p, from(at(0, 0), at(0, 1)), nil, nothing))
			moved("fill what is live now", s.Fill(ctx, p, from(of(2, at(0, 1)), of(2, at(0, 2))), nothing))
		}
		both := []readmodel.Move{{From: of(2, at(0, 1)), To: of(2, at(0, 2))}, {From: at(1, 0), To: at(1, 1)}}
		if err := store.Update(ctx, p, both, nil, nothing); err == nil || !strings.Contains(err.Error(), "generations 2 and 1") {
			t.Error("both:", err)
		}
		if err := other.Update(ctx, p, both[:1], nil, nothing); err != nil {
			t.Error(err)
		}
	})
}

// A swap is refused if a partition would go back, or if the logs differ.
func TestSwapsThatAreRefused(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, ctx := people(), t.Context()
		store := prepared(t, open(), p)
		put(t, store, p, "person", person("live"))
		put(t, store, p, "person", person("live"))
		behind, otherLog := begin(t, store, p, 1), begin(t, store, p, 1)
		wrong := of(otherLog, at(0, 2))
		wrong.Digest = digest(77)
		if err := store.Fill(ctx, p, from(of(otherLog, at(0, 1)), wrong), nothing); err != nil {
			t.Fatal(err)
		}
		unfit := people()
		unfit.Version++
		failed := errors.New("of catchUp")
		for says, err := range map[string]error{
			"offset 1 of partition 0": store.Swap(ctx, p, behind, asItIs),
			"another log":             store.Swap(ctx, p, otherLog, asItIs),
			"another definition":      store.Swap(ctx, unfit, behind, asItIs),
			failed.Error(): store.Swap(ctx, p, behind, func(_ []readmodel.Checkpoint, fill readmodel.Fill) error {
				return errors.Join(fill(from(of(behind, at(0, 1)), of(behind, at(0, 9))), nothing), failed)
			}),
		} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("no %q in: %v", says, err)
			}
		}
		want := []string{"1 live: 1 rows, 0 parked, 2", "2 building: 0 rows, 0 parked, 1", "3 building: 0 rows, 0 parked, 2"}
		if diff := cmp.Diff(want, states(t, store, p)); diff != "" {
			t.Error(diff)
		}
	})
}

// A swap comes during a view, and another during updates. A reader sees rows
// and checkpoint of one generation. An update is committed to the generation in
// which the update began, or not at all.
func TestSwapsInTheMiddle(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, ctx := people(), t.Context()
		stores := []*Store{prepared(t, open(), p), open(), open()}
		// Row n of a generation. A checkpoint at n comes with rows 1 to n.
		count := func(generation int, next int64) projection.Row {
			return projection.Row{fmt.Sprint(generation, "/", next), "", int64(generation), true}
		}
		for range 3 {
			begin(t, stores[0], p, 0)
		}
		var stop atomic.Bool
		var wg sync.WaitGroup
		step := func(at readmodel.Checkpoint, by func([]readmodel.Move, func(readmodel.Tx) error) error) error {
			to := at
			to.Next++
			to.Digest = digest(1)
			return by(from(at, to), func(tx readmodel.Tx) error {
				return tx.Put(ctx, "person", []projection.Row{count(at.Generation, to.Next)})
			})
		}
		for _, s := range stores[:2] { // two engines that don't know of each other
			wg.Go(func() {
				for !stop.Load() {
					err := step(checkpoints(t, s, p)[0], func(moves []readmodel.Move, fn func(readmodel.Tx) error) error {
						return s.Update(ctx, p, moves, nil, fn)
					})
					if err != nil && !errors.Is(err, readmodel.ErrCheckpointMoved) {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Go(func() {
			last := int64(0)
			for !stop.Load() {
				err := stores[2].View(ctx, p, func(v readmodel.View) error {
					for range 2 {
						all, err := v.Checkpoints(ctx)
						if err != nil {
							return err
						}
						rows, err := askIn[int64](ctx, v, "SELECT age FROM {person}")
						if err != nil {
							return err
						}
						if len(rows) != int(all[0].Next) || all[0].Next < last {
							t.Errorf("%d rows at checkpoint %v, after %d", len(rows), all[0], last)
						}
						for _, generation := range rows {
							if generation != int64(v.Generation()) || v.Generation() != all[0].Generation {
								t.Errorf("a row of generation %d in %d, checkpoint %v", generation, v.Generation(), all[0])
							}
						}
						last = all[0].Next
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
		swapper := open()
		for generation := 2; generation <= 4; generation++ {
			for checkpoints(t, swapper, p)[0].Next < int64(generation*5) { // some updates
				if t.Failed() {
					break
				}
			}
			err := swapper.Swap(ctx, p, generation, func(live []readmodel.Checkpoint, fill readmodel.Fill) error {
				at := of(generation, readmodel.Checkpoint{})
				for at.Next < live[0].Next {
					if err := step(at, fill); err != nil {
						return err
					}
					at.Next++
					at.Digest = digest(1)
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if err := swapper.Drop(ctx, p, generation-1); err != nil {
				t.Error(err)
			}
		}
		for last := checkpoints(t, swapper, p)[0].Next; checkpoints(t, swapper, p)[0].Next < last+5 && !t.Failed(); { // updates go on
		}
		stop.Store(true)
		wg.Wait()
	})
}

// A binary with another definition reads a generation with all of its own
// columns, and writes only to a generation with the same definition.
func TestAnotherDefinitionIsReadIfItCovers(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, wider, ctx := people(), people(), t.Context()
		wider.Tables[0].Columns = append(wider.Tables[0].Columns, projection.Column{Name: "email", Type: projection.Text})
		wider.Version++
		store, newer := prepared(t, open(), p), open()
		put(t, store, p, "person", person("1"))
		look := func(s *Store, p *projection.Projection) error {
			return s.View(ctx, p, func(readmodel.View) error { return nil })
		}
		if err := look(newer, wider); !errors.Is(err, readmodel.ErrOtherDefinition) {
			t.Errorf("a column isn't there: %v", err)
		}
		if err := newer.Prepare(ctx, wider, 4); !errors.Is(err, readmodel.ErrOtherDefinition) {
			t.Errorf("prepare: %v", err)
		}
		begin(t, newer, wider, 1, append(person("1"), "a@b"))
		if err := newer.Swap(ctx, wider, 2, asItIs); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1"}, ids(t, store, p)); diff != "" {
			t.Error("there are more columns:", diff)
		}
		for name, err := range map[string]error{
			"prepare": store.Prepare(ctx, p, 4),
			"update":  store.Update(ctx, p, from(of(2, at(0, 1)), of(2, at(0, 2))), nil, nothing),
			"hold":    store.Hold(ctx, p, func(readmodel.Tx, readmodel.View) error { return nil }),
		} {
			if !errors.Is(err, readmodel.ErrOtherDefinition) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := errors.Join(newer.Prepare(ctx, wider, 4), newer.Update(ctx, wider, from(of(2, at(0, 1)), of(2, at(0, 2))), nil, nothing)); err != nil {
			t.Error(err)
		}
		narrow := people()
		narrow.Version--
		narrow.Tables = narrow.Tables[:1]
		if err := look(store, narrow); err != nil {
			t.Error("fewer tables:", err)
		}
	})
}

func TestOneRebuildAtATime(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, others := people(), people()
		others.Name = "others"
		first, second := open(), open()
		done, err := first.Rebuilding(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []*Store{first, second} {
			if _, err := s.Rebuilding(t.Context(), p); !errors.Is(err, readmodel.ErrRebuilding) {
				t.Errorf("a second one: %v", err)
			}
		}
		another, err := second.Rebuilding(t.Context(), others)
		if err != nil {
			t.Fatal("of another read model:", err)
		}
		another()
		done()
		if done, err = second.Rebuilding(t.Context(), p); err != nil {
			t.Fatal("after the first:", err)
		}
		done()
	})
}

// A generation is swapped away and dropped between the start of a view and the
// first use of a table.
func TestAGenerationIsDroppedUnderAView(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, ctx := people(), t.Context()
		store, other := prepared(t, open(), p), open()
		if store.anchor != nil {
			t.Skip("in memory a swap waits for the view")
		}
		put(t, store, p, "person", person("old"))
		begin(t, store, p, 1, person("new"))
		var once sync.Once
		var got string
		err := store.View(ctx, p, func(v readmodel.View) error {
			once.Do(func() {
				if err := errors.Join(other.Swap(ctx, p, 2, asItIs), other.Drop(ctx, p, 1)); err != nil {
					t.Error(err)
				}
			})
			found, err := askIn[string](ctx, v, "SELECT id FROM {person}")
			got = fmt.Sprint(found, " of ", v.Generation())
			return err
		})
		if err != nil || got != "[old] of 1" && got != "[new] of 2" {
			t.Errorf("read %s: %v", got, err)
		}
	})
}
