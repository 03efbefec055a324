package readmodel_test

import (
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
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
