package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

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
					err := stores[racer%2].Update(t.Context(), p, from(at(2, round), at(2, round+1)), nil, func(tx readmodel.Tx) error {
						return tx.Put(t.Context(), "person", []projection.Row{person(id)})
					})
					if err == nil {
						names <- id
					}
					failed <- err
				}()
			}
			for range racers {
				if err := <-failed; err != nil && !errors.Is(err, readmodel.ErrCheckpointMoved) {
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
		want := []readmodel.Checkpoint{at(0, 0), at(1, 0), at(2, rounds), at(3, 0)}
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
		otherDigest, otherNext := at(0, 1), at(0, 1)
		otherDigest.Digest[31]++
		otherNext.Next++
		for name, before := range map[string]readmodel.Checkpoint{
			"behind": at(0, 0), "ahead": at(0, 2), "other digest": otherDigest, "other offset": otherNext, "no such partition": at(9, 0),
		} {
			err := store.Update(t.Context(), p, from(before, at(before.Partition, 7)), nil, func(readmodel.Tx) error {
				t.Errorf("%s: it goes on", name)
				return nil
			})
			if !errors.Is(err, readmodel.ErrCheckpointMoved) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := checkpoints(t, store, p)[0]; got != at(0, 1) {
			t.Errorf("checkpoint is %v", got)
		}
	})
}

func TestUpdateOfSeveralPartitions(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		step := func(partition int32, before, after int64) readmodel.Move {
			return readmodel.Move{From: at(partition, before), To: at(partition, after)}
		}
		for name, moves := range map[string][]readmodel.Move{
			"none": nil, "twice": {step(1, 0, 1), step(1, 1, 2)}, "to another": {{From: at(1, 0), To: at(2, 1)}},
		} {
			err := store.Update(t.Context(), p, moves, nil, func(readmodel.Tx) error { return nil })
			if err == nil || errors.Is(err, readmodel.ErrCheckpointMoved) {
				t.Errorf("%s: %v", name, err)
			}
		}
		err := store.Update(t.Context(), p, []readmodel.Move{step(3, 0, 3), step(0, 0, 1), step(2, 0, 300)}, nil, func(tx readmodel.Tx) error {
			return tx.Put(t.Context(), "person", []projection.Row{person("of three")})
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []readmodel.Checkpoint{at(0, 1), at(1, 0), at(2, 300), at(3, 3)}
		if diff := cmp.Diff(want, checkpoints(t, store, p)); diff != "" {
			t.Error(diff)
		}

		err = store.Update(t.Context(), p, []readmodel.Move{step(3, 0, 4), step(0, 1, 2), step(2, 0, 4), step(1, 0, 1)}, nil, func(readmodel.Tx) error {
			t.Error("it goes on")
			return nil
		})
		var moved *readmodel.MovedError
		if !errors.Is(err, readmodel.ErrCheckpointMoved) || !errors.As(err, &moved) {
			t.Fatalf("two have moved, and the error is %v", err)
		}
		slices.Sort(moved.Partitions)
		if diff := cmp.Diff([]int32{2, 3}, moved.Partitions); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want, checkpoints(t, store, p)); diff != "" {
			t.Errorf("after it failed: %s", diff)
		}
	})
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		put(t, store, p, "person", person("before"))
		write := func(tx readmodel.Tx) {
			t.Helper()
			err := errors.Join(
				tx.Put(t.Context(), "person", []projection.Row{person("after")}),
				tx.Delete(t.Context(), "person", []projection.Row{{"before"}}),
				tx.PutHeads(t.Context(), map[string]readmodel.StreamHead{"after": {}}))
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
		err := store.Update(t.Context(), p, from(at(0, 1), at(0, 2)), nil, func(tx readmodel.Tx) error {
			write(tx)
			return sentinel
		})
		if err != sentinel { //nolint:errorlint // unchanged, not wrapped
			t.Errorf("error is %v", err)
		}
		unchanged("error")

		func() {
			defer func() {
				if got := recover(); got != "of fn" {
					t.Errorf("recovered %v", got)
				}
			}()
			_ = store.Update(t.Context(), p, from(at(0, 1), at(0, 2)), nil, func(tx readmodel.Tx) error {
				write(tx)
				panic("of fn")
			})
		}()
		unchanged("panic")

		ctx, cancel := context.WithCancel(t.Context())
		err = store.Update(ctx, p, from(at(0, 1), at(0, 2)), nil, func(tx readmodel.Tx) error {
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
		nothing := func(readmodel.Tx) error { return nil }
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := first.Update(gone, p, from(at(1, 0), at(1, 1)), nil, nothing); !errors.Is(err, context.Canceled) {
			t.Errorf("before it began: %v", err)
		}
		err := first.Update(t.Context(), p, from(at(0, 0), at(0, 1)), nil, func(readmodel.Tx) error {
			soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := second.Update(soon, p, from(at(1, 0), at(1, 1)), nil, nothing); !errors.Is(err, context.DeadlineExceeded) {
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

// Two partitions change the same row, such as a count of all orders.
func TestPartitionsShareRows(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		stores := []*Store{prepared(t, open(), p), open()}
		const rounds = 20
		var wg sync.WaitGroup
		for partition := range int32(4) {
			wg.Go(func() {
				for next := range int64(rounds) {
					err := stores[partition%2].Update(t.Context(), p, from(at(partition, next), at(partition, next+1)), nil, func(tx readmodel.Tx) error {
						rows, err := tx.Rows(t.Context(), "person", []projection.Row{{"all"}})
						if err != nil {
							return err
						}
						count := projection.Row{"all", "", int64(1), true}
						if len(rows) > 0 {
							count[2] = rows[0][2].(int64) + 1 //nolint:errcheck // a panic fails the test
						}
						return tx.Put(t.Context(), "person", []projection.Row{count})
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
