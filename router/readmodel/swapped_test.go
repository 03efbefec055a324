package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

// After a swap the engine continues in the new generation, at the new
// checkpoint, without leaving the group. No record is missing, and no record is
// folded twice.
func TestAnEngineGoesOnInTheGenerationThatIsLive(t *testing.T) {
	for _, ahead := range []int{0, 5, 12} { // records that only the new generation has
		t.Run(fmt.Sprint(ahead), func(t *testing.T) {
			w, want := new(writer), map[string]string{}
			write := func(n int) {
				for range n {
					i := len(w.records)
					w.created(fmt.Sprint("u", i), "a")
					want[fmt.Sprint("u", i)] = "a 1"
				}
			}
			p, store := names(new(atomic.Bool)), &onwards{memory(t), t}
			m, _ := join(t, store, w, p)
			write(20)
			m.takeAll(w.records)
			if !reaches(t, m, 20) {
				t.Fatal("the first records are not folded")
			}
			write(ahead)
			r := rebuildOf(store, w, p)
			generation, _, err := r.Begin(t.Context())
			if err := errors.Join(err, r.Fill(t.Context(), generation), r.Swap(t.Context(), generation)); err != nil {
				t.Fatal(err)
			}
			write(10)
			m.takeAll(w.records[20:])
			if !reaches(t, m, len(w.records)) {
				t.Error("the engine doesn't go on")
			}
			m.Cleanup(m.assignment)
			select {
			case <-m.assignment.Abandoned():
				t.Error("it left its group")
			default:
			}
			if diff := cmp.Diff(want, rows(t, store.Store, p)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			if m.marked.Load() != int64(len(w.records)) {
				t.Errorf("marked %d of %d", m.marked.Load(), len(w.records))
			}
		})
	}
}

// onwards is a store that fails the test if a checkpoint goes back.
type onwards struct {
	*sqlstore.Store
	t *testing.T
}

func (s *onwards) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	for _, m := range moves {
		if m.To.Next <= m.From.Next {
			s.t.Errorf("from %d to %d", m.From.Next, m.To.Next)
		}
	}
	return s.Store.Update(ctx, p, moves, ahead, fn)
}

// reaches waits until the engine has folded n records of the log.
func reaches(t *testing.T, m *member, n int) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m.Visible(ctx, 0, int64(n-1))
	return ctx.Err() == nil
}

// An engine ends when another binary has rebuilt the read model with another
// definition.
func TestAnEngineStopsAtAnotherBinarysGeneration(t *testing.T) {
	w := new(writer)
	w.created("1", "a")
	p, newer, store := names(new(atomic.Bool)), names(new(atomic.Bool)), memory(t)
	newer.Version++
	m, _ := join(t, store, w, p)
	stopped := make(chan error, 1)
	m.Stop = func(err error) { stopped <- err }
	m.takeAll(w.records)
	if !reaches(t, m, 1) {
		t.Fatal("the first record is not folded")
	}
	r := rebuildOf(store, w, newer)
	generation, _, err := r.Begin(t.Context())
	if err := errors.Join(err, r.Fill(t.Context(), generation), r.Swap(t.Context(), generation)); err != nil {
		t.Fatal(err)
	}
	w.renamed("1", "b")
	m.takeAll(w.records[1:])
	select {
	case err := <-stopped:
		if !errors.Is(err, readmodel.ErrOtherDefinition) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it doesn't stop")
	}
	m.Cleanup(m.assignment)
	if diff := cmp.Diff(map[string]string{"1": "a 1"}, rows(t, store, newer)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	// The newer binary continues.
	next, start := join(t, store, w, newer)
	if start != 1 {
		t.Errorf("it starts at %d", start)
	}
	next.takeAll(w.records[1:])
	next.Cleanup(next.assignment)
	if diff := cmp.Diff(map[string]string{"1": "b 2"}, rows(t, store, newer)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

// A partition that is far behind is caught up straight from the log, and the
// subscription starts where the catch-up ended.
func TestFarBehindIsCaughtUpInBulk(t *testing.T) {
	w := new(writer)
	for i := range 11_000 { // more than one transaction's
		w.created(fmt.Sprint("u", i), "a")
	}
	w.renamed("u1", "b")
	p, store := names(new(atomic.Bool)), memory(t)
	m, start := join(t, store, w, p)
	if start != 11_001 {
		t.Errorf("the subscription begins at %d", start)
	}
	m.Cleanup(m.assignment)
	for i := range 6000 {
		w.renamed(fmt.Sprint("u", i), "c")
	}
	m, start = join(t, store, w, p)
	if start != 17_001 {
		t.Errorf("the next owner's subscription begins at %d", start)
	}
	for i := range 10 {
		w.created(fmt.Sprint("more", i), "a")
	}
	m.takeAll(w.records[start:])
	m.Cleanup(m.assignment)
	got := rows(t, store, p)
	if len(got) != 11_010 || got["u0"] != "c 2" || got["u1"] != "c 3" || got["u9000"] != "a 1" {
		t.Errorf("%d rows, u0 is %q, u1 %q, u9000 %q", len(got), got["u0"], got["u1"], got["u9000"])
	}
	_, start = join(t, store, w, p)
	if start != 17_011 {
		t.Errorf("the next owner starts at %d", start)
	}
}
