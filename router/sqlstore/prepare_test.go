package sqlstore

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

func TestPrepareMakesCheckpointsAtZero(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store := prepared(t, open(), p)
		if diff := cmp.Diff([]readmodel.Checkpoint{at(0, 0), at(1, 0), at(2, 0), at(3, 0)}, checkpoints(t, store, p)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestPrepareAgainChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		put(t, prepared(t, open(), p), p, "person", person("1"))
		store := prepared(t, open(), people())
		if diff := cmp.Diff([]string{"1"}, ids(t, store, p)); diff != "" {
			t.Error(diff)
		}
		if got := checkpoints(t, store, p)[0]; got != at(0, 1) {
			t.Errorf("checkpoint is %v", got)
		}
	})
}

func TestPrepareByManyAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		const stores, each = 8, 2
		failed := make(chan error, stores*each)
		for range stores {
			store := open()
			for i := range each {
				p := people()
				p.Name = fmt.Sprint("people", i%2)
				go func() { failed <- store.Prepare(t.Context(), p, 4) }()
			}
		}
		for range stores * each {
			if err := <-failed; err != nil {
				t.Error(err)
			}
		}
	})
}

// Another instance prepares while this instance folds.
func TestPrepareBesideUpdates(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		store, other := prepared(t, open(), p), open()
		var done atomic.Bool
		prepared := make(chan error, 1)
		go func() {
			defer done.Store(true)
			for range 20 {
				if err := other.Prepare(t.Context(), people(), 4); err != nil {
					prepared <- err
					return
				}
			}
			prepared <- nil
		}()
		for !done.Load() {
			put(t, store, p, "person", person("1"))
		}
		if err := <-prepared; err != nil {
			t.Error(err)
		}
	})
}

func TestPrepareRefusesAnotherDefinition(t *testing.T) {
	changes := map[string]func(*projection.Table){
		"renamed": func(t *projection.Table) { t.Columns[1].Name, t.Indexes = "nickname", nil },
		"added": func(t *projection.Table) {
			t.Columns = append(t.Columns, projection.Column{Name: "email", Type: projection.Text})
		},
		"left out":   func(t *projection.Table) { t.Columns, t.Indexes = t.Columns[:3], nil },
		"reordered":  func(t *projection.Table) { t.Columns[1], t.Columns[2] = t.Columns[2], t.Columns[1] },
		"other type": func(t *projection.Table) { t.Columns[2].Type = projection.Text },
		"other key":  func(t *projection.Table) { t.Columns[1].Key = true },
		"more rows":  nil,
	}
	onEach(t, func(t *testing.T, open opener) {
		prepared(t, open(), people())
		for name, change := range changes {
			p := people()
			if change == nil {
				p.Version++
			} else {
				change(&p.Tables[0])
			}
			err := open().Prepare(t.Context(), p, 4)
			if !errors.Is(err, readmodel.ErrOtherDefinition) || !strings.Contains(err.Error(), "generation 1 has (version 0; person: id text key,") {
				t.Errorf("%s: error is %v", name, err)
			}
		}
		p := people()
		p.Tables[0].Indexes = [][]string{{"age"}}
		if err := open().Prepare(t.Context(), p, 4); err != nil {
			t.Error("another index:", err)
		}
	})
}

func TestReadsBeforePrepare(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		store, p := open(), people()
		read := func(step string) {
			if _, err := store.Checkpoints(t.Context(), p); !errors.Is(err, readmodel.ErrNotPrepared) {
				t.Errorf("%s: Checkpoints: %v", step, err)
			}
			err := store.View(t.Context(), p, func(readmodel.View) error { t.Errorf("%s: there is a view", step); return nil })
			if !errors.Is(err, readmodel.ErrNotPrepared) {
				t.Errorf("%s: View: %v", step, err)
			}
		}
		read("empty database")
		other := people()
		other.Name = "others"
		prepared(t, open(), other)
		read("another read model")
		prepared(t, open(), p)
		if got := ids(t, store, p); len(got) != 0 {
			t.Errorf("rows %v", got)
		}
	})
}

// Every operation refuses a store from before v0.1.0: a store with definitions
// that lack the line of stream names, or are empty.
func TestAStoreOfBefore(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p, ctx := people(), t.Context()
		first := prepared(t, open(), p)
		for _, definition := range []string{"", strings.TrimPrefix(definitionOf(p), streamNames+"\n")} {
			if _, err := first.write.ExecContext(ctx, "UPDATE generations SET definition = $1", definition); err != nil {
				t.Fatal(err)
			}
			store, p := open(), people()
			_, checkpoints := store.Checkpoints(ctx, p)
			_, generations := store.Generations(ctx, p)
			for what, err := range map[string]error{
				"Prepare": store.Prepare(ctx, p, 4), "Checkpoints": checkpoints, "Generations": generations, "Fits": store.Fits(ctx, p),
				"View": store.View(ctx, p, func(readmodel.View) error { return nil }),
			} {
				if !errors.Is(err, readmodel.ErrOldStore) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s with definition %q: %v", what, definition, err)
				}
			}
		}
	})
}

// A definition contains the names of Of. The order of the names is no matter.
func TestPrepareRefusesAnotherOf(t *testing.T) {
	onEach(t, func(t *testing.T, open opener) {
		p := people()
		p.Of = []string{"order", "parcel"}
		prepared(t, open(), p)
		same := people()
		same.Of = []string{"parcel", "order"}
		if err := open().Prepare(t.Context(), same, 4); err != nil {
			t.Error(err)
		}
		if err := open().Prepare(t.Context(), people(), 4); !errors.Is(err, readmodel.ErrOtherDefinition) {
			t.Error(err)
		}
	})
}
