package sqlstore

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/millrace/millrace/router/readmodel"
)

// A transaction that SQLite has ended by itself, as for a full disk, is neither
// committed nor left to the next update.
func TestALostTransactionIsLeftToNobody(t *testing.T) {
	store, p := sqliteDatabase(t)(), people()
	prepared(t, store, p)
	for range 2 {
		tx, err := store.write.begin(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.exec(t.Context(), undoWrites); err != nil {
			t.Fatal(err)
		}
		if err := tx.commit(t.Context()); err == nil {
			t.Error("nothing is committed")
		}
		tx.rollback() // as the deferred one
		put(t, store, p, "person", person("1"))
	}
}

// The end of a context while a writer waits for its turn leaves no transaction.
func TestAWriterThatGivesUpLeavesNoTransaction(t *testing.T) {
	open := sqliteDatabase(t)
	store, other, p := open(), open(), people()
	prepared(t, store, p)
	for range 5 {
		held, err := other.write.begin(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		err = store.Update(ctx, p, from(at(1, 0), at(1, 1)), nil, func(readmodel.Tx) error { return nil })
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		held.rollback()
		put(t, store, p, "person", person("1"))
	}
}
