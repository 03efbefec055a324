package readmodel_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// A fault of a projection parks the stream of the event, and nothing else, in
// the engine and in the verifier. Once the projection is mended, a retry goes on.
func TestFaultsOfAProjectionParkOneStream(t *testing.T) {
	for name, fault := range map[string]struct {
		keys   func() []projection.RowKey
		apply  func(projection.Rows) error
		reason string
	}{
		"Keys panics": {
			keys:   func() []projection.RowKey { panic("no keys") },
			reason: "the projection panicked: no keys",
		},
		"Keys names another table": {
			keys:   func() []projection.RowKey { return []projection.RowKey{{Table: "other", Key: projection.Row{"a"}}} },
			reason: `the projection names a row of table "other", which it doesn't have`,
		},
		"a key of another type": {
			keys:   func() []projection.RowKey { return []projection.RowKey{{Table: "names", Key: projection.Row{1}}} },
			reason: "the projection names row [1] of table names, and the key doesn't fit",
		},
		"a key of too many columns": {
			keys: func() []projection.RowKey {
				return []projection.RowKey{{Table: "names", Key: projection.Row{"a", "b"}}}
			},
			reason: "the projection names row [a b] of table names, and the key doesn't fit",
		},
		"a key of no columns": {
			keys:   func() []projection.RowKey { return []projection.RowKey{{Table: "names"}} },
			reason: "the projection names row [] of table names, and the key doesn't fit",
		},
		"Apply panics": {
			apply:  func(projection.Rows) error { panic("no rows") },
			reason: "the projection panicked: no rows",
		},
		"Apply gets a row that Keys didn't name": {
			apply:  func(rows projection.Rows) error { rows.Get("names", "other"); return nil },
			reason: "the projection panicked: row [other] of table names was not asked for",
		},
		"Apply puts a row that doesn't fit": {
			apply:  func(rows projection.Rows) error { rows.Put("names", projection.Row{"bad", "x", 1}); return nil },
			reason: "the projection panicked: column events of table names can't hold 1",
		},
		"Apply deletes by a key that doesn't fit": {
			apply:  func(rows projection.Rows) error { rows.Delete("names", int64(1)); return nil },
			reason: "the projection panicked: key [1] does not fit table names",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var mended atomic.Bool
			p := names(new(atomic.Bool))
			keys, apply := p.Keys, p.Apply
			faulty := func(e projection.Event) bool {
				renamed, ok := e.Data.(*orders.OrderRenamed)
				return ok && renamed.Name == "faulty" && !mended.Load()
			}
			p.Keys = func(e projection.Event) []projection.RowKey {
				if fault.keys != nil && faulty(e) {
					return fault.keys()
				}
				return keys(e)
			}
			p.Apply = func(rows projection.Rows, e projection.Event) error {
				if fault.apply != nil && faulty(e) {
					return fault.apply(rows)
				}
				return apply(rows, e)
			}
			l, store := newLog(1), memory(t)
			l.created("bad", "a")
			l.created("good", "a")
			l.renamed("bad", "faulty")
			l.renamed("good", "b")
			l.renamed("bad", "later")
			l.catchUp(t, store, p)
			if diff := cmp.Diff(map[string]string{"good": "b 2", "bad": "a 1"}, rows(t, store, p)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			was := parked(t, store, l, p)
			if len(was) != 1 || was[0].Stream != order("bad") || was[0].ParkedOffset != 2 || !strings.HasPrefix(was[0].Parked, fault.reason) {
				t.Fatalf("parked are %+v", was)
			}
			if proof := verify(t, store, l, false, p)[0]; proof.Differ != 0 || proof.ParkedStreams != 1 || proof.Parked[0].Applies {
				t.Errorf("%+v %s", proof, differences(proof))
			}
			mended.Store(true)
			if now := retry(t, store, l, p, was); len(now) != 1 || now[0].Parked != "" {
				t.Errorf("after the retry: %+v", now)
			}
			if diff := cmp.Diff(map[string]string{"good": "b 2", "bad": "later 3"}, rows(t, store, p)); diff != "" {
				t.Errorf("rows after the retry (-want +got):\n%s", diff)
			}
		})
	}
}
