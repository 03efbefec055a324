package sqlstore

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/readmodel"
)

func TestSQLiteKeepsWhatItHas(t *testing.T) {
	// The folder doesn't exist yet, and the name has a meaning in a URL.
	path := filepath.Join(t.TempDir(), "a folder", "50% of #1?mode=ro&x.db")
	for _, want := range [][]string{{"1"}, {"1", "2"}} {
		p := people()
		store, err := OpenSQLite(t.Context(), path)
		prepared(t, opened(t, store, err), p)
		put(t, store, p, "person", person(want[len(want)-1]))
		if diff := cmp.Diff(want, ids(t, store, p)); diff != "" {
			t.Error(diff)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestSQLiteOpenedByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "read.db")
	const many = 10
	failed := make(chan error, many)
	for range many {
		go func() {
			store, err := OpenSQLite(t.Context(), path)
			if err == nil {
				err = errors.Join(store.Ping(t.Context()), store.Close())
			}
			failed <- err
		}()
	}
	for range many {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}

func TestSQLiteThatCantBeOpened(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, []byte(strings.Repeat("no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"no database":             file,
		"a folder":                folder,
		"in a file, not a folder": filepath.Join(file, "read.db"),
	} {
		store, err := OpenSQLite(t.Context(), path)
		if err == nil {
			t.Errorf("%s: it opened", name)
			opened(t, store, nil)
			continue
		}
		if !strings.Contains(err.Error(), path) {
			t.Errorf("%s: the error doesn't name the file: %v", name, err)
		}
		t.Log(err)
	}
}

func TestMemoriesAreApart(t *testing.T) {
	p := people()
	for range 2 {
		store, err := OpenMemory(t.Context())
		put(t, prepared(t, opened(t, store, err), p), p, "person", person("1"))
		if got := checkpoints(t, store, p)[0]; got != at(0, 1) {
			t.Errorf("checkpoint is %v", got)
		}
	}
}

func TestSQLitePreparesWhatIsAskedAgain(t *testing.T) {
	p := people()
	store := prepared(t, sqliteDatabase(t)(), p)
	const query = "SELECT id FROM people_person_1 ORDER BY id"
	ids(t, store, p)
	ids(t, store, p)
	stmt := preparedReading(t, store)[query]
	if stmt == nil {
		t.Error("it isn't prepared")
	}
	for i := range maxPrepared + 1 {
		query := fmt.Sprintf("SELECT id FROM {person} WHERE age = %d", i)
		ask[string](t, store, p, query)
		ask[string](t, store, p, query)
	}
	statements := preparedReading(t, store)
	// A connection also prepares BEGIN and ROLLBACK.
	if n := len(statements); n > maxPrepared+2 || n < maxPrepared {
		t.Errorf("%d statements", n)
	}
	if statements[query] != stmt {
		t.Error("it was prepared again")
	}
}

// preparedReading has the prepared statements of the connection that reads while
// no other does.
func preparedReading(t *testing.T, store *Store) map[string]driver.Stmt {
	t.Helper()
	tx, err := store.read.begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.rollback()
	var statements map[string]driver.Stmt
	if err := tx.raw(func(conn *directConn) error {
		statements = maps.Clone(conn.statements)
		return nil
	}); err != nil {
		t.Error(err)
	}
	return statements
}

// A query may leave its rows open: the end of the view closes the rows.
func TestAViewEndsWithOpenRows(t *testing.T) {
	p := people()
	store := prepared(t, sqliteDatabase(t)(), p)
	put(t, store, p, "person", person("1"), person("2"))
	for range 2 * sqliteReaders {
		if err := store.View(t.Context(), p, func(v readmodel.View) error {
			for range 2 {
				rows, err := v.Query(t.Context(), "SELECT id FROM {person}") //nolint:sqlclosecheck // left open
				if err != nil {
					return err
				}
				if !rows.Next() || rows.Err() != nil {
					t.Error("no row", rows.Err())
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// A scratch database has no journal: pages are written once, and nothing waits for
// the disk.
func TestScratchHasNoJournal(t *testing.T) {
	s, err := OpenScratch(t.Context(), filepath.Join(t.TempDir(), "new", "scratch.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	for _, p := range []*pool{s.write, s.read} {
		for pragma, want := range map[string]string{"journal_mode": "off", "synchronous": "0"} {
			var got string
			if err := p.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %q, %v", pragma, got, err)
			}
		}
	}
}
