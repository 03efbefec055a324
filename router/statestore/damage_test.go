package statestore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/millrace/millrace/router/statestore"
)

// damages are what may happen to a file.
var damages = map[string]func(rng *rand.Rand, path string, data []byte) error{
	"cut": func(rng *rand.Rand, path string, data []byte) error {
		return os.Truncate(path, int64(rng.IntN(len(data))))
	},
	"changed": func(rng *rand.Rand, path string, data []byte) error {
		data[rng.IntN(len(data))] ^= byte(1 + rng.IntN(255))
		return os.WriteFile(path, data, 0o600)
	},
	"zeros": func(rng *rand.Rand, path string, data []byte) error {
		clear(data[rng.IntN(len(data)):])
		return os.WriteFile(path, data, 0o600)
	},
	"missing": func(_ *rand.Rand, path string, _ []byte) error { return os.Remove(path) },
}

// A store with a damaged file is as after one of its flushes, or the damage is
// noticed, and the store is empty after the next Open.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole")
	states := written(t, whole)
	names, err := os.ReadDir(whole)
	check(t, err)
	noticed := map[string]int{}
	for kind, damage := range damages {
		for seed := range uint64(3) {
			for _, name := range names {
				rng := rand.New(rand.NewPCG(seed, 1))
				dir := filepath.Join(t.TempDir(), "state")
				check(t, os.CopyFS(dir, os.DirFS(whole)))
				data, err := os.ReadFile(filepath.Join(whole, name.Name()))
				check(t, err)
				if len(data) == 0 && kind != "missing" {
					continue // markers and the lock
				}
				check(t, damage(rng, filepath.Join(dir, name.Name()), data))
				if judge(t, fmt.Sprintf("%s %s, seed %d", name.Name(), kind, seed), dir, states) {
					noticed[kind]++
				} else if strings.HasPrefix(name.Name(), "marker.manifest") {
					t.Errorf("nobody noticed that %s is missing", name.Name())
				}
			}
		}
	}
	t.Logf("noticed: %v", noticed)
	for kind := range damages {
		if noticed[kind] == 0 {
			t.Errorf("no damage of kind %q was noticed", kind)
		}
	}
}

// written writes a store in several flushes, and returns the states after each.
func written(t *testing.T, dir string) (states []map[string]string) {
	t.Helper()
	s, _ := open(t, dir, nil)
	rng, state := rand.New(rand.NewPCG(1, 1)), map[string]string{}
	states = append(states, maps.Clone(state))
	for n := range 30 {
		batch := random(rng, n)
		maps.Copy(state, batch)
		check(t, s.Write(changes(batch)))
		check(t, s.Flush())
		states = append(states, maps.Clone(state))
	}
	check(t, s.Close())
	return states
}

// judge opens a damaged store, and says whether the damage was noticed.
func judge(t *testing.T, what, dir string, states []map[string]string) (noticed bool) {
	t.Helper()
	log := new(logText)
	s, err := statestore.Open(statestore.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return false
	}
	got, err := content(s)
	if err == nil {
		err = lookedUp(t, what, s, got, states[len(states)-1])
	}
	check(t, s.Close())
	if err == nil {
		for _, state := range states {
			if maps.Equal(got, state) {
				return strings.Contains(log.String(), "deleted the state store")
			}
		}
		t.Errorf("%s: the store is as it never was", what)
		return false
	}
	if s.Err() == nil {
		t.Errorf("%s: the error of a read is no failure: %v", what, err)
	}
	s, log = open(t, dir, nil)
	expect(t, s, map[string]string{})
	if text := log.String(); strings.Count(text, "deleted the state store") != 1 {
		t.Errorf("%s: the log says %s", what, text)
	}
	check(t, s.Close())
	return true
}

// lookedUp looks up all keys that a store ever had. A look-up asks the filters of the
// tables, and finds what a scan has found, or fails.
func lookedUp(t *testing.T, what string, s *statestore.Store, scanned, keys map[string]string) error {
	t.Helper()
	for key := range keys {
		value, err := s.Get([]byte(key))
		if err != nil {
			return err
		}
		if wanted, there := scanned[key]; there != (value != nil) || wanted != string(value) {
			t.Errorf("%s: a look-up of %q finds %q, and a scan %q", what, key, value, wanted)
		}
	}
	return nil
}

// A store of a later release is deleted.
func TestLaterRelease(t *testing.T) {
	dir := t.TempDir()
	s, _ := open(t, dir, nil)
	check(t, s.Write(changes(map[string]string{"a": "1"})))
	check(t, s.Flush())
	check(t, s.Close())
	markers, err := filepath.Glob(filepath.Join(dir, "marker.format-version.*"))
	check(t, err)
	if len(markers) != 1 {
		t.Fatalf("there are markers %v", markers)
	}
	name := filepath.Base(markers[0])
	version, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
	check(t, err)
	check(t, os.Rename(markers[0], filepath.Join(dir, name[:strings.LastIndexByte(name, '.')+1]+fmt.Sprintf("%03d", version+50))))
	s, log := open(t, dir, nil)
	expect(t, s, map[string]string{})
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "deleted the state store") {
		t.Errorf("the log says %s", text)
	}
}

// An error of the operating system is no damage.
func TestUnreadableFolder(t *testing.T) {
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind == errorfs.OpOpen {
			return syscall.EMFILE
		}
		return nil
	}))
	s, _ := open(t, "state", fs)
	check(t, s.Write(changes(map[string]string{"a": "1"})))
	check(t, s.Flush())
	check(t, s.Close())
	broken.Store(true)
	if _, err := statestore.Open(statestore.Options{Dir: "state", FS: fs, Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("without files to open, Open says %v", err)
	}
	broken.Store(false)
	s, _ = open(t, "state", fs)
	expect(t, s, map[string]string{"a": "1"})
}

// While the disk is full, nothing is lost, and the store goes on by itself.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	for _, only := range []string{"", ".sst", "MANIFEST"} {
		t.Run("full for "+only, func(t *testing.T) {
			t.Parallel()
			var full atomic.Bool
			fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				writes := op.Kind == errorfs.OpFileWrite || op.Kind == errorfs.OpCreate
				if full.Load() && writes && (strings.Contains(op.Path, only) || strings.HasSuffix(op.Path, "room")) {
					return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
				}
				return nil
			}))
			s, log := open(t, "state", fs)
			check(t, s.Write(changes(map[string]string{"a": "1"})))
			check(t, s.Flush())
			full.Store(true)
			check(t, s.Write(changes(map[string]string{"b": "2"})))
			for range 2 {
				if err := s.Flush(); !errors.Is(err, statestore.ErrFull) {
					t.Fatalf("a flush to a full disk: %v", err)
				}
			}
			if !s.Full() || !s.Stats().Full {
				t.Error("the store does not say that the disk is full")
			}
			if err := s.Write(changes(map[string]string{"c": "3"})); !errors.Is(err, statestore.ErrFull) {
				t.Errorf("a write to a full disk: %v", err)
			}
			expect(t, s, map[string]string{"a": "1", "b": "2"})
			full.Store(false)
			for err := s.Flush(); err != nil; err = s.Flush() {
				if !errors.Is(err, statestore.ErrFull) {
					t.Fatal(err)
				}
			}
			check(t, s.Write(changes(map[string]string{"c": "3"})))
			check(t, s.Flush())
			check(t, s.Close())
			if text := log.String(); strings.Count(text, "\n") != 2 || !strings.Contains(text, "the disk is full") || !strings.Contains(text, "has room again") {
				t.Errorf("the log says %s", text)
			}
			s, _ = open(t, "state", fs)
			expect(t, s, map[string]string{"a": "1", "b": "2", "c": "3"})
		})
	}
}

// An Open on a full disk waits, says so, and goes on by itself.
func TestOpenOnFullDisk(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if full.Load() && op.Kind == errorfs.OpFileWrite {
			return &os.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	}))
	full.Store(true)
	told := make(chan bool, 10)
	opened := make(chan *statestore.Store)
	go func() {
		s, err := statestore.Open(statestore.Options{Dir: "state", FS: fs, Log: slog.New(slog.DiscardHandler), Full: func(full bool) { told <- full }})
		if err != nil {
			t.Error(err)
		}
		opened <- s
	}()
	if !<-told {
		t.Error("there is room before the disk was full")
	}
	full.Store(false)
	if <-told {
		t.Error("the disk is full once more")
	}
	check(t, (<-opened).Close())
}

// A write that fails for good is a failure, and ends neither the process nor the
// reads.
func TestBrokenDisk(t *testing.T) {
	if os.Getenv(brokenDisk) == "" {
		command := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestBrokenDisk$")
		command.Env = append(os.Environ(), brokenDisk+"=yes")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return
	}
	for _, file := range []string{"sst", "MANIFEST"} {
		t.Run(file, func(t *testing.T) {
			var broken atomic.Bool
			fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
				if broken.Load() && op.Kind == errorfs.OpFileWrite && strings.Contains(op.Path, file) {
					return syscall.EIO
				}
				return nil
			}))
			s, _ := open(t, "state", fs)
			check(t, s.Write(changes(map[string]string{"a": "1"})))
			check(t, s.Flush())
			broken.Store(true)
			check(t, s.Write(changes(map[string]string{"b": "2"})))
			err := s.Flush()
			<-s.Failed()
			if err == nil || !errors.Is(err, s.Err()) {
				t.Errorf("a flush to a broken disk says %v, and the failure is %v", err, s.Err())
			}
			if text := s.Err().Error(); strings.Contains(text, "\n") || !strings.Contains(text, "can't go on: ") {
				t.Errorf("the failure is %q", text)
			}
			expect(t, s, map[string]string{"a": "1", "b": "2"})
			if s.Write(changes(map[string]string{"c": "3"})) == nil || s.Flush() == nil {
				t.Error("a store that has failed is written")
			}
		})
	}
}
