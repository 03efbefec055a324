package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

func TestHoldKeepsUpdatesWaiting(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		holder, updater := prepared(t, open(), p), open()
		updated := make(chan error, 1)
		err := holder.Hold(t.Context(), p, func(tx readmodel.Tx, v readmodel.View) error {
			go func() {
				updated <- updater.Update(t.Context(), p, []readmodel.Move{{From: at(1, 0), To: at(1, 5)}}, nil, func(tx readmodel.Tx) error {
					return tx.Put(t.Context(), "person", []projection.Row{person("late")})
				})
			}()
			if err := tx.Put(t.Context(), "person", []projection.Row{person("1"), person("2")}); err != nil {
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
		want := []readmodel.Checkpoint{at(0, 0), at(1, 5), at(2, 0), at(3, 9)}
		if diff := cmp.Diff(want, checkpoints(t, holder, p)); diff != "" {
			t.Error(diff)
		}

		sentinel := errors.New("of fn")
		err = holder.Hold(t.Context(), p, func(tx readmodel.Tx, _ readmodel.View) error {
			return errors.Join(tx.Delete(t.Context(), "person", []projection.Row{{"1"}}), sentinel)
		})
		if !errors.Is(err, sentinel) || len(ids(t, holder, p)) != 3 {
			t.Errorf("%v, and it holds %v", err, ids(t, holder, p))
		}
	})
}

// A view and an update tell how often a generation was held, for engines that
// keep rows between updates.
func TestHoldsAreCounted(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		failed := errors.New("of fn")
		for _, result := range []error{nil, failed, nil} {
			err := store.Hold(t.Context(), p, func(readmodel.Tx, readmodel.View) error { return result })
			if !errors.Is(err, result) {
				t.Fatal(err)
			}
		}
		var inView, inUpdate int64
		err := store.View(t.Context(), p, func(v readmodel.View) (err error) {
			inView, err = v.Holds(t.Context())
			return err
		})
		err = errors.Join(err, store.Update(t.Context(), p, []readmodel.Move{{From: at(1, 0), To: at(1, 5)}}, nil, func(tx readmodel.Tx) (err error) {
			inUpdate, err = tx.Holds(t.Context())
			return err
		}))
		if err != nil || inView != 2 || inUpdate != 2 {
			t.Errorf("a view tells of %d holds, an update of %d; %v", inView, inUpdate, err)
		}
	})
}

func TestEachHandsOverAll(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		const n = 2500
		var rows []projection.Row
		heads := map[string]readmodel.StreamHead{}
		for i := range n {
			id := fmt.Sprintf("%05d", i*7919%n)
			rows = append(rows, projection.Row{id, "Name " + id, int64(i), i%2 == 0})
			head := readmodel.StreamHead{Head: eventlog.Head{Seq: uint64(i), Version: 3, Digest: digest(byte(i))}}
			if i%1000 == 7 {
				head.Parked, head.ParkedOffset = "why", int64(i)
			}
			heads[id] = head
		}
		stay := []projection.Row{{"a", int64(-3), true}, {"a", int64(20), false}, {"a", int64(20), true}, {"b", int64(1), false}}
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
			return errors.Join(tx.Put(ctx, "person", rows), tx.Put(ctx, "stay", stay), tx.PutHeads(ctx, heads))
		})
		err := store.View(t.Context(), p, func(v readmodel.View) error {
			at, last := 0, ""
			err := v.Each(t.Context(), "person", nil, func(row projection.Row) error {
				id, _ := row[0].(string)
				if want := rows[int(row[2].(int64))]; !cmp.Equal(want, row) || id <= last { //nolint:errcheck // a panic fails the test
					t.Errorf("got %v after %s, want %v", row, last, want)
				}
				at, last = at+1, id
				return nil
			})
			if at != n {
				t.Errorf("%d rows, want %d", at, n)
			}
			var all []projection.Row
			err = errors.Join(err, v.Each(t.Context(), "stay", nil, func(row projection.Row) error {
				all = append(all, row)
				return nil
			}))
			if diff := cmp.Diff(stay, all); diff != "" {
				t.Error(diff)
			}
			for i := range stay {
				behind := stay[i+1:]
				err = errors.Join(err, v.Each(t.Context(), "stay", stay[i], func(row projection.Row) error {
					if len(behind) == 0 || !cmp.Equal(row, behind[0]) {
						t.Errorf("behind %v is %v, want %v", stay[i], row, behind)
						return nil
					}
					behind = behind[1:]
					return nil
				}))
				if len(behind) > 0 {
					t.Errorf("behind %v %v are missing", stay[i], behind)
				}
			}
			first := ""
			err = errors.Join(err, v.EachHead(t.Context(), projection.Row{"00007"}, func(stream string, _ readmodel.StreamHead) error {
				if first == "" {
					first = stream
				}
				return nil
			}))
			if first != "00008" {
				t.Errorf("the first head behind 00007 is %q", first)
			}
			got, parked := map[string]readmodel.StreamHead{}, 0
			err = errors.Join(err, v.EachHead(t.Context(), nil, func(stream string, head readmodel.StreamHead) error {
				got[stream] = head
				return nil
			}), v.EachParked(t.Context(), func(stream string, head readmodel.StreamHead) error {
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
			if err := v.Each(t.Context(), "stay", nil, func(projection.Row) error { return sentinel }); !errors.Is(err, sentinel) {
				t.Errorf("it goes on after %v", err)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		update(t, store, p, func(ctx context.Context, tx readmodel.Tx) error {
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
