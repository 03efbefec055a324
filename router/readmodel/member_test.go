package readmodel_test

import (
	"fmt"
	"testing"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// rows reads a read model: by id, the name and the number of events.
func rows(t *testing.T, store readmodel.Store, p *projection.Projection) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := store.View(t.Context(), p, func(v readmodel.View) error {
		found, err := v.Query(t.Context(), "SELECT id, name, events FROM {names}")
		if err != nil {
			return err
		}
		defer func() { _ = found.Close() }()
		for found.Next() {
			var id, name string
			var n int
			if err := found.Scan(&id, &name, &n); err != nil {
				return err
			}
			got[id] = fmt.Sprintf("%s %d", name, n)
		}
		return found.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}
