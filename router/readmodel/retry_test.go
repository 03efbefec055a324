package readmodel_test

import (
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

func parked(t *testing.T, store readmodel.Store, l *partitionedLog, p *projection.Projection) []readmodel.ParkedStream {
	t.Helper()
	all, err := readmodel.Parked(t.Context(), store, p, int32(len(l.partitions)))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func retry(t *testing.T, store readmodel.Store, l *partitionedLog, p *projection.Projection, streams []readmodel.ParkedStream) []readmodel.ParkedStream {
	t.Helper()
	now, err := readmodel.Retry(t.Context(), store, l, orders.Registry, p, streams, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// After the fix, a retried stream has the same rows as without the fault, and
// so have shared rows. No other row changes.
func TestRetryRedoesAStreamFromTheLog(t *testing.T) {
	for _, more := range []int{0, 2500} { // more records than parkedRead
		t.Run(fmt.Sprint(more, " records later"), func(t *testing.T) {
			l, mended := newLog(3), new(atomic.Bool)
			p, store := letters(mended), memory(t)
			for i, id := range []string{"a", "b", "c", "d"} {
				l.created(id, fmt.Sprint("name", i))
			}
			l.renamed("a", "broken")
			l.renamed("b", "panics")
			l.renamed("a", "x")
			l.zombie("a")
			for i := range more {
				l.renamed([]string{"a", "c", "d"}[i%3], fmt.Sprint("later", i))
			}
			l.renamed("b", "y")
			l.catchUp(t, store, p)

			was := parked(t, store, l, p)
			if len(was) != 2 || was[0].Stream != order("a") || was[1].Stream != order("b") || was[0].Seq != 1 {
				t.Fatalf("parked are %+v", was)
			}
			// Before the fix a retry changes nothing, and the verifier finds no
			// difference.
			before := rows(t, store, p)
			for _, s := range retry(t, store, l, p, was) {
				if s.Parked == "" || s.Seq != 1 {
					t.Errorf("%+v", s)
				}
			}
			if diff := cmp.Diff(before, rows(t, store, p)); diff != "" {
				t.Error(diff)
			}
			proof := verify(t, store, l, false, p)[0]
			if proof.Differ != 0 || proof.ParkedStreams != 2 || proof.Parked[0].Applies || proof.Deferred < 4 {
				t.Errorf("%+v", proof)
			}

			mended.Store(true)
			proof = verify(t, store, l, true, p)[0]
			if proof.Differ != 0 || proof.Mended != 0 || !proof.Parked[0].Applies || !proof.Parked[1].Applies {
				t.Errorf("before the retry: %+v", proof)
			}
			now := retry(t, store, l, p, was[:1])
			if len(now) != 1 || now[0].Stream != order("a") || now[0].Parked != "" || now[0].Seq < 3 {
				t.Errorf("%+v", now)
			}
			if proof = verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.ParkedStreams != 1 {
				t.Errorf("after one of them: %+v", proof)
			}
			if now = retry(t, store, l, p, was); len(now) != 1 || now[0].Stream != order("b") || now[0].Parked != "" {
				t.Errorf("%+v", now)
			}
			if proof = verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.ParkedStreams != 0 || proof.Deferred != 0 {
				t.Errorf("after both: %+v", proof)
			}
			if fresh := memory(t); proof.Digest != func() any { l.catchUp(t, fresh, p); return verify(t, fresh, l, false, p)[0].Digest }() {
				t.Error("a read model made anew has other rows")
			}
			l.renamed("a", "z")
			l.catchUp(t, store, p)
			if got := rows(t, store, p)["a"]; !strings.HasPrefix(got, "z ") {
				t.Errorf("after it a has %q", got)
			}
		})
	}
}

// A stream that fails again later is parked at the later record.
func TestRetryParksAgain(t *testing.T) {
	l, mended := newLog(3), new(atomic.Bool)
	p, store := letters(mended), memory(t)
	l.created("a", "new")
	l.renamed("a", "broken")
	l.renamed("a", "better")
	l.write("orderRenamed", order("a"), `{"id":`)
	l.renamed("a", "last")
	l.catchUp(t, store, p)
	mended.Store(true)
	was := parked(t, store, l, p)
	now := retry(t, store, l, p, was)
	if len(now) != 1 || now[0].Seq != 3 || now[0].ParkedOffset != 3 || now[0].Parked == was[0].Parked {
		t.Errorf("%+v", now)
	}
	if got := rows(t, store, p)["a"]; got != "better 3" {
		t.Errorf("the row is %q", got)
	}
	if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.Deferred != 2 {
		t.Errorf("%+v %s", proof, differences(proof))
	}
}

// An older binary that can't apply events of the read model reports so, and
// repairs nothing.
func TestRepairByABinaryThatCantReadTheLog(t *testing.T) {
	l := newLog(3)
	newer, older := new(atomic.Bool), new(atomic.Bool)
	newer.Store(true)
	store := memory(t)
	l.created("a", "broken")
	l.renamed("a", "later")
	l.catchUp(t, store, letters(newer))
	if proof := verify(t, store, l, false, letters(older))[0]; !strings.Contains(differences(proof), `stream "order/a": parked is ""`) {
		t.Errorf("it finds\n%s", differences(proof))
	}
	v := &readmodel.Verifier{Live: store, Scratch: scratch(t), Log: l, Events: orders.Registry, Partitions: 3, Max: 10}
	_, err := v.Verify(t.Context(), []*projection.Projection{letters(older)}, true)
	if err == nil || !strings.Contains(err.Error(), "binary") {
		t.Errorf("got %v", err)
	}
	if proof := verify(t, store, l, false, letters(newer))[0]; proof.Differ != 0 {
		t.Errorf("it changed\n%s", differences(proof))
	}
}
