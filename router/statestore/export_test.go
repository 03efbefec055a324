package statestore_test

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/statestore"
)

func importInto(dir string, export []byte, check func(*statestore.Store) error) error {
	if check == nil {
		check = func(*statestore.Store) error { return nil }
	}
	return statestore.Import(statestore.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)}, false, bytes.NewReader(export), check)
}

func exportOf(t *testing.T, s *statestore.Store) []byte {
	t.Helper()
	var export bytes.Buffer
	check(t, s.Export(&export))
	return export.Bytes()
}

func TestExport(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, filepath.Join(dir, "old"), nil)
	check(t, s.Write(changes(map[string]string{"a": "1", "b": "2"})))
	check(t, s.Flush())
	check(t, s.Write(changes(map[string]string{"a": "not flushed"})))
	export := exportOf(t, s)
	seen := false
	check(t, importInto(filepath.Join(dir, "new"), export, func(s *statestore.Store) error {
		expect(t, s, map[string]string{"a": "1", "b": "2"})
		seen = true
		return nil
	}))
	if !seen {
		t.Error("nobody has looked at the import")
	}
	copied, log := open(t, filepath.Join(dir, "new"), nil)
	expect(t, copied, map[string]string{"a": "1", "b": "2"})
	if text := log.String(); text != "" {
		t.Errorf("opening an import logs %s", text)
	}
	if err := importInto(filepath.Join(dir, "new"), export, nil); !errors.Is(err, statestore.ErrInUse) {
		t.Errorf("an import into a store in use: %v", err)
	}
	check(t, copied.Close())
	if err := importInto(filepath.Join(dir, "new"), export, nil); !errors.Is(err, statestore.ErrNotEmpty) {
		t.Errorf("an import into a folder with a store: %v", err)
	}
	expect(t, s, map[string]string{"a": "not flushed", "b": "2"})
	check(t, s.Write(changes(map[string]string{"c": "3"})))
	check(t, s.Flush())
	check(t, statestore.Import(statestore.Options{Dir: filepath.Join(dir, "new"), Log: slog.New(slog.DiscardHandler)}, true, bytes.NewReader(exportOf(t, s)), func(*statestore.Store) error { return nil }))
	copied, _ = open(t, filepath.Join(dir, "new"), nil)
	expect(t, copied, map[string]string{"a": "not flushed", "b": "2", "c": "3"})
	for _, remains := range []string{"old/exporting", "new/importing", "new/damaged"} {
		if _, err := os.Stat(filepath.Join(dir, remains)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", remains, err)
		}
	}
}

// Each export beside writes is as after one of the writes.
func TestExportBesideWrites(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, filepath.Join(dir, "old"), nil)
	done := make(chan struct{})
	states := []map[string]string{{}}
	go func() {
		defer close(done)
		rng := rand.New(rand.NewPCG(1, 2))
		for n := range 60 {
			batch := random(rng, n)
			state := maps.Clone(states[n])
			maps.Copy(state, batch)
			states = append(states, state)
			if err := errors.Join(s.Write(changes(batch)), s.Flush()); err != nil {
				t.Error(err)
			}
		}
	}()
	var exports [][]byte
	for range 10 {
		exports = append(exports, exportOf(t, s))
	}
	<-done
	for _, export := range exports {
		to := filepath.Join(t.TempDir(), "new")
		check(t, importInto(to, export, func(s *statestore.Store) error {
			got := all(t, s)
			for _, state := range states {
				if maps.Equal(got, state) {
					return nil
				}
			}
			return errors.New("the export is as the store never was")
		}))
	}
}

// An export that is cut or changed is refused, and the folder stays empty.
func TestDamagedExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, _ := open(t, filepath.Join(dir, "old"), nil)
	written := random(rand.New(rand.NewPCG(3, 3)), 1)
	check(t, s.Write(changes(written)))
	check(t, s.Flush())
	export, rng := exportOf(t, s), rand.New(rand.NewPCG(4, 4))
	content := len(bytes.TrimRight(export, "\x00")) // a tar ends in zeros
	for n := range 60 {
		damaged, what := bytes.Clone(export), "cut"
		if n%2 == 0 {
			damaged = damaged[:rng.IntN(content)]
		} else {
			what = "changed"
			damaged[rng.IntN(content)] ^= byte(1 + rng.IntN(255))
		}
		to := filepath.Join(dir, "new")
		err := importInto(to, damaged, func(s *statestore.Store) error {
			expect(t, s, written) // a change of what no sum covers, such as a tar's modes
			return errors.New("as it was")
		})
		if !errors.Is(err, statestore.ErrNotExport) && (err == nil || err.Error() != "as it was" || what == "cut") {
			t.Errorf("an export that is %s: %v", what, err)
		}
		left, err := os.ReadDir(to)
		check(t, err)
		if len(left) != 1 || left[0].Name() != "LOCK" {
			t.Fatalf("an export that is %s leaves %v", what, left)
		}
	}
}

// What check refuses is not imported, and a folder name in an export is refused.
func TestRefusedImport(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, filepath.Join(dir, "old"), nil)
	check(t, s.Write(changes(map[string]string{"a": "1"})))
	check(t, s.Flush())
	export := exportOf(t, s)
	other := errors.New("of another log")
	if err := importInto(filepath.Join(dir, "new"), export, func(*statestore.Store) error { return other }); !errors.Is(err, other) {
		t.Errorf("a refused import: %v", err)
	}
	fresh, _ := open(t, filepath.Join(dir, "new"), nil)
	expect(t, fresh, map[string]string{})
	if err := importInto(filepath.Join(dir, "third"), []byte(strings.Repeat("x", 1<<10)), nil); !errors.Is(err, statestore.ErrNotExport) {
		t.Errorf("an import of another file: %v", err)
	}
}
