package sqlstore

import (
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/router/readmodel"
)

// A store that a newer binary has migrated is used as long as the columns that
// this binary needs are there, and refused otherwise.
func TestStoreOfNewerBinary(t *testing.T) {
	t.Parallel()
	for change, refused := range map[string]bool{
		"ALTER TABLE heads ADD COLUMN more text NOT NULL DEFAULT ''": false,
		"ALTER TABLE heads RENAME COLUMN seq TO sequence":            true,
		"DROP TABLE generations":                                     true,
	} {
		onEach(t, func(t *testing.T, open opener) {
			s := open()
			if err := s.CheckTables(t.Context()); err != nil {
				t.Errorf("without tables: %v", err)
			}
			if err := s.alone(t.Context(), func(*transaction) error { return nil }); err != nil {
				t.Fatal(err)
			}
			for _, statement := range []string{change, "INSERT INTO " + migrationsTable + " (version_id, is_applied) VALUES (9, true)"} {
				if _, err := s.write.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			older := open()
			if older == s {
				t.Skip("no other binary opens this database")
			}
			for what, err := range map[string]error{
				"read API":      older.CheckTables(t.Context()),
				"query service": older.alone(t.Context(), func(*transaction) error { return nil }),
			} {
				if errors.Is(err, readmodel.ErrNewerStore) != refused || !refused && err != nil {
					t.Errorf("%s, %s: %v", change, what, err)
				}
			}
		})
	}
}

func TestPooledNamesTheRemedy(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]bool{"42P05": true, "26000": true, "42703": false} {
		err := pooled(fmt.Errorf("update: %w", &pgconn.PgError{Code: code}))
		if errors.Is(err, ErrPooler) != want {
			t.Errorf("%s: %v", code, err)
		}
		if again := pooled(err); again.Error() != err.Error() {
			t.Errorf("told twice: %v", again)
		}
	}
	if pooled(nil) != nil {
		t.Error("no error is an error")
	}
}
