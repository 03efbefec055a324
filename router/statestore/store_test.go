package statestore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/statestore"
)

// lockFolder is the variable that makes the test binary a process that tries to
// open a store, for TestOtherProcess.
const lockFolder = "STATESTORE_TEST_FOLDER"

// brokenDisk is the variable of the process in which TestBrokenDisk runs.
const brokenDisk = "STATESTORE_TEST_BROKEN"

func TestMain(m *testing.M) {
	if dir := os.Getenv(lockFolder); dir != "" {
		s, err := statestore.Open(statestore.Options{Dir: dir, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("opened")
		_ = s.Close()
		return
	}
	if os.Getenv(brokenDisk) != "" {
		os.Exit(m.Run()) // Pebble's goroutines wait for the end of the process
	}
	goleak.VerifyTestMain(m)
}

// logText collects the lines of a log.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func open(t *testing.T, dir string, fs vfs.FS) (*statestore.Store, *logText) {
	t.Helper()
	log := new(logText)
	s, err := statestore.Open(statestore.Options{Dir: dir, FS: fs, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, s.Close()) })
	return s, log
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// changes are sets of keys; an absent value deletes the key.
func changes(of map[string]string, deleted ...string) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		key, value := make([]byte, 0, 64), make([]byte, 0, 1<<10) // used again for each pair
		for k, v := range of {
			key, value = append(key[:0], k...), append(value[:0], v...)
			if !yield(key, value) {
				return
			}
		}
		for _, k := range deleted {
			if !yield([]byte(k), nil) {
				return
			}
		}
	}
}

// all is everything that a store has.
func all(t *testing.T, s *statestore.Store) map[string]string {
	t.Helper()
	found, err := content(s)
	check(t, err)
	return found
}

func content(s *statestore.Store) (map[string]string, error) {
	found := map[string]string{}
	err := s.Scan([]byte{0}, []byte{0xff}, func(key, value []byte) error {
		found[string(key)] = string(value)
		return nil
	})
	return found, err
}

func expect(t *testing.T, s *statestore.Store, wanted map[string]string) {
	t.Helper()
	if got := all(t, s); !maps.Equal(got, wanted) {
		t.Errorf("the store has %v, wanted %v", got, wanted)
	}
}

func TestWrites(t *testing.T) {
	s, _ := open(t, t.TempDir(), nil)
	check(t, s.Write(changes(map[string]string{"a": "1", "b": "2", "c": "", "d": "4"})))
	expect(t, s, map[string]string{"a": "1", "b": "2", "c": "", "d": "4"})
	check(t, s.Flush())
	check(t, s.Write(changes(map[string]string{"b": "3"}, "a", "absent")))
	expect(t, s, map[string]string{"b": "3", "c": "", "d": "4"})
	for key, wanted := range map[string][]byte{"a": nil, "b": []byte("3"), "c": {}, "e": nil} {
		got, err := s.Get([]byte(key))
		check(t, err)
		if !bytes.Equal(got, wanted) || (got == nil) != (wanted == nil) {
			t.Errorf("key %q is %#v, wanted %#v", key, got, wanted)
		}
	}
	stop := errors.New("stop")
	var keys []string
	err := s.Scan([]byte("b"), []byte("d"), func(key, _ []byte) error {
		if keys = append(keys, string(key)); len(keys) == 2 {
			return stop
		}
		return nil
	})
	if err != stop || strings.Join(keys, "") != "bc" { //nolint:errorlint // as it is
		t.Errorf("a scan of b to d met %v and ended with %v", keys, err)
	}
}

// Without a flush a store is as of the last flush.
func TestReopened(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, nil)
	check(t, s.Write(changes(map[string]string{"a": "1"})))
	check(t, s.Flush())
	check(t, s.Write(changes(map[string]string{"a": "2", "b": "2"})))
	check(t, s.Close())
	s, log := open(t, dir, nil)
	expect(t, s, map[string]string{"a": "1"})
	if text := log.String(); text != "" {
		t.Errorf("opening a sound store logs %s", text)
	}
}

func TestClear(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, nil)
	check(t, s.Write(changes(map[string]string{"a": "1"})))
	check(t, s.Flush())
	check(t, s.Write(changes(map[string]string{"b": "1"})))
	check(t, s.Clear())
	expect(t, s, map[string]string{})
	check(t, s.Write(changes(map[string]string{"c": "1"})))
	expect(t, s, map[string]string{"c": "1"})
	check(t, s.Close())
	s, _ = open(t, dir, nil)
	expect(t, s, map[string]string{})
}

func TestOtherProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	s, _ := open(t, dir, nil)
	if _, err := statestore.Open(statestore.Options{Dir: dir}); !errors.Is(err, statestore.ErrInUse) {
		t.Errorf("a second store of the folder: %v", err)
	}
	other := func() string {
		command := exec.CommandContext(t.Context(), os.Args[0])
		command.Env = append(os.Environ(), lockFolder+"="+dir)
		out, err := command.CombinedOutput()
		check(t, err)
		return string(out)
	}
	if got, wanted := other(), "the state store's folder "+dir+" is in use by another process\n"; got != wanted {
		t.Errorf("another process says %q, wanted %q", got, wanted)
	}
	check(t, s.Close())
	if got := other(); got != "opened\n" {
		t.Errorf("another process says %q once the folder is free", got)
	}
}

// Files of earlier releases go, and so does what a killed process has begun.
func TestRemains(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"q2Hn-0.snapshot", "writing-123", "room"} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600))
	}
	_, log := open(t, dir, nil)
	for _, name := range []string{"*.snapshot", "writing-*", "room"} {
		if left, _ := filepath.Glob(filepath.Join(dir, name)); len(left) > 0 {
			t.Errorf("%v are left", left)
		}
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "snapshots of an earlier release") {
		t.Errorf("the log says %q", text)
	}
}

// random is a batch of keys that other batches overwrite.
func random(rng *rand.Rand, n int) map[string]string {
	batch := map[string]string{"offset": fmt.Sprint(n)}
	for range 1 + rng.IntN(40) {
		batch[fmt.Sprintf("key %03d", rng.IntN(200))] = fmt.Sprintf("%d %s", n, strings.Repeat("x", rng.IntN(4000)))
	}
	return batch
}

// A power cut leaves a prefix of the writes, with all flushed writes.
func TestPowerCut(t *testing.T) {
	for seed := range uint64(20) {
		fs, rng := vfs.NewCrashableMem(), rand.New(rand.NewPCG(seed, 0))
		s, _ := open(t, "state", fs)
		states, flushed := []map[string]string{{}}, 0
		for n := 1; n <= 60; n++ {
			batch := random(rng, n)
			check(t, s.Write(changes(batch)))
			state := maps.Clone(states[n-1])
			maps.Copy(state, batch)
			states = append(states, state)
			if rng.IntN(3) == 0 {
				check(t, s.Flush())
				flushed = n
			}
			if rng.IntN(10) > 0 {
				continue
			}
			after, log := open(t, "state", fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(25 * (seed % 5)), RNG: rng}))
			got := all(t, after)
			var at int
			_, err := fmt.Sscan(got["offset"], &at)
			if err != nil && !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			if at < flushed || at > n || !maps.Equal(got, states[at]) {
				t.Fatalf("seed %d: after write %d, and a flush of %d, the store is not as after write %d\n%s", seed, n, flushed, at, log)
			}
			check(t, after.Close())
		}
		check(t, s.Close())
	}
}
