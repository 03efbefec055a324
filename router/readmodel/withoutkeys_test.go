package readmodel_test

import (
	"maps"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// A projection that looks at no rows needs no Keys.
func TestWithoutKeys(t *testing.T) {
	p := names(new(atomic.Bool))
	p.Keys = nil
	p.Apply = func(rows projection.Rows, e projection.Event) error {
		rows.Put("names", projection.Row{e.AggregateID, e.Type, int64(e.Version)})
		return nil
	}
	w, store := new(writer), memory(t)
	w.created("a", "x")
	w.write(eventlog.TypeCommandRefused, order("b"), `{}`)
	m, _ := join(t, store, w, p)
	m.takeAll(w.records)
	m.Cleanup(m.assignment)
	if got := rows(t, store, p); got["a"] != "orderPlaced 1" || got["b"] != "commandRefused 0" {
		t.Errorf("rows %v", got)
	}
}

// A catch-up writes the last row of each order, beside a read model that looks
// at rows.
func TestCatchUpWithoutKeys(t *testing.T) {
	l, want := longLog()
	p, store := tallied("last", new(atomic.Bool)), memory(t)
	p.Keys = nil
	p.Apply = func(rows projection.Rows, e projection.Event) error {
		rows.Put("tally", projection.Row{e.AggregateID, int64(e.Version)})
		rows.Put("tally", projection.Row{"all", int64(1)})
		rows.Delete("tally", "all")
		return nil
	}
	shared := &readmodel.SharedReading{Models: 2}
	last, beside := engineOf(t, store, l, p, shared), engineOf(t, store, l, tallied("beside", new(atomic.Bool)), shared)
	for _, err := range setUp(t.Context(), allPartitions, last, beside) {
		if err != nil {
			t.Fatal(err)
		}
	}
	takeRest(l, last)
	takeRest(l, beside)
	if diff := cmp.Diff(want, tally(t, store, beside.Projection)); diff != "" {
		t.Errorf("beside (-want +got):\n%s", diff)
	}
	want = maps.Clone(want)
	delete(want, "all")
	if diff := cmp.Diff(want, tally(t, store, p)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
