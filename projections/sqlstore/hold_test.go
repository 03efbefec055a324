package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
)

func TestHoldKeepsUpdatesWaiting(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		holder, updater := prepared(t, open(), p), open()
		updated := make(chan error, 1)
		err := holder.Hold(t.Context(), p, func(tx projections.Tx, v projections.View) error {
			go func() {
				updated <- updater.Update(t.Context(), p, []projections.Move{{From: at(1, 0), To: at(1, 5)}}, func(tx projections.Tx) error {
					return tx.Put(t.Context(), "person", []projections.Row{person("late")})
				})
			}()
			if err := tx.Put(t.Context(), "person", []projections.Row{person("1"), person("2")}); err != nil {
				return err
			}
			if err := tx.PutCheckpoint(t.Context(), at(3, 9)); err != nil {
				return err
			}
			was, err := v.Checkpoints(t.Context())
			if err != nil || len(was) != 4 || !v.Own() || v.Generation() != 1 {
				t.Errorf("checkpoints %v, %v", was, err)
			}
			select {
			case err := <-updated:
				t.Errorf("an update went on: %v", err)
			case <-time.After(100 * time.Millisecond):
			}
			seen, err := askIn[string](t.Context(), v, "SELECT id FROM {person} ORDER BY id")
			if diff := cmp.Diff([]string{"1", "2"}, seen); diff != "" {
				t.Error("it doesn't see what it wrote:", diff)
			}
			return err
		})
		if err := errors.Join(err, <-updated); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"1", "2", "late"}, ids(t, holder, p)); diff != "" {
			t.Error(diff)
		}
		want := []projections.Checkpoint{at(0, 0), at(1, 5), at(2, 0), at(3, 9)}
		if diff := cmp.Diff(want, checkpoints(t, holder, p)); diff != "" {
			t.Error(diff)
		}

		sentinel := errors.New("of fn")
		err = holder.Hold(t.Context(), p, func(tx projections.Tx, _ projections.View) error {
			return errors.Join(tx.Delete(t.Context(), "person", []projections.Row{{"1"}}), sentinel)
		})
		if !errors.Is(err, sentinel) || len(ids(t, holder, p)) != 3 {
			t.Errorf("%v, and it holds %v", err, ids(t, holder, p))
		}
	})
}

func TestEachHandsOverAll(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		const n = 2500
		var rows []projections.Row
		heads := map[string]projections.StreamHead{}
		for i := range n {
			id := fmt.Sprintf("%05d", i*7919%n)
			rows = append(rows, projections.Row{id, "Name " + id, int64(i), i%2 == 0})
			head := projections.StreamHead{Head: messaging.Head{Seq: uint64(i), Version: 3, Digest: digest(byte(i))}}
			if i%1000 == 7 {
				head.Parked, head.ParkedOffset = "why", int64(i)
			}
			heads[id] = head
		}
		stay := []projections.Row{{"a", int64(-3), true}, {"a", int64(20), false}, {"a", int64(20), true}, {"b", int64(1), false}}
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error {
			return errors.Join(tx.Put(ctx, "person", rows), tx.Put(ctx, "stay", stay), tx.PutHeads(ctx, heads))
		})
		err := store.View(t.Context(), p, func(v projections.View) error {
			at, last := 0, ""
			err := v.Each(t.Context(), "person", func(row projections.Row) error {
				id, _ := row[0].(string)
				if want := rows[int(row[2].(int64))]; !cmp.Equal(want, row) || id <= last { //nolint:errcheck // it panics
					t.Errorf("got %v after %s, want %v", row, last, want)
				}
				at, last = at+1, id
				return nil
			})
			if at != n {
				t.Errorf("%d rows, want %d", at, n)
			}
			var all []projections.Row
			err = errors.Join(err, v.Each(t.Context(), "stay", func(row projections.Row) error {
				all = append(all, row)
				return nil
			}))
			if diff := cmp.Diff(stay, all); diff != "" {
				t.Error(diff)
			}
			got, parked := map[string]projections.StreamHead{}, 0
			err = errors.Join(err, v.EachHead(t.Context(), func(stream string, head projections.StreamHead) error {
				got[stream] = head
				return nil
			}), v.EachParked(t.Context(), func(stream string, head projections.StreamHead) error {
				parked++
				if head.Parked == "" || head != heads[stream] {
					t.Errorf("%s: %+v", stream, head)
				}
				return nil
			}))
			if diff := cmp.Diff(heads, got); diff != "" || parked != 3 {
				t.Error(parked, diff)
			}
			sentinel := errors.New("of fn")
			if err := v.Each(t.Context(), "stay", func(projections.Row) error { return sentinel }); !errors.Is(err, sentinel) {
				t.Errorf("it goes on after %v", err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		update(t, store, p, func(ctx context.Context, tx projections.Tx) error {
			if err := tx.DeleteHeads(ctx, []string{"00000", "00002", "unknown"}); err != nil {
				return err
			}
			left, err := tx.Heads(ctx, []string{"00000", "00001", "00002"})
			if len(left) != 1 {
				t.Errorf("left are %v", left)
			}
			return err
		})
	})
}
