package statestore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrInUse is returned by [Open] when another process has the folder.
var ErrInUse = errors.New("in use by another process")

// Options are the settings of a store.
type Options struct {
	// Dir is the folder of the store, and of nothing else. Open creates the
	// folder.
	Dir string
	// Memory bounds the block cache and the memtables together, in bytes; less
	// than [LeastMemory] counts as LeastMemory.
	Memory int64
	// Log gets a line about damaged files, about a full disk, and about failures.
	Log *slog.Logger
	// Full is told when the disk is full, and when there is room again; nil for
	// nobody. Open waits while the disk is full.
	Full func(full bool)
	// FS is another file system, for tests; nil is the machine's.
	FS vfs.FS
}

// Store is an open store. Reads may run beside each other and beside a Write.
// Write, Flush, Clear and Close take turns, and nothing runs beside Clear and
// Close but Stats and Export.
type Store struct {
	options Options
	fs      vfs.FS
	lock    *pebble.Lock
	disk    *patientDisk
	failed  *failure
	stalls  stalls
	pending <-chan struct{} // closed when the flush under way is done; nil without a flush

	// swap is held while Clear and Close end a db, and on the other side by Stats
	// and Export.
	swap   sync.RWMutex
	db     *pebble.DB
	closed bool

	exporting sync.Mutex
}

// Open opens the store of a folder, or creates the store. Damaged files, and
// files of a release that this binary can't read, are deleted with a warning:
// the store is empty then. While the disk is full, Open waits. The error is [ErrInUse], or the file system's.
func Open(o Options) (*Store, error) {
	s := newStore(o)
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the state store in %s: %w", o.Dir, err), s.lock.Close())
	}
	return s, nil
}

func newStore(o Options) *Store {
	s := &Store{options: o, fs: o.FS}
	if s.fs == nil {
		s.fs = vfs.Default
	}
	s.failed = newFailure(s.fs, o.Dir, o.Log)
	return s
}

// takeLock creates the folder and locks the folder.
func (s *Store) takeLock() (err error) {
	dir := s.options.Dir
	if err := s.fs.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("create the state store's folder: %w", err)
	}
	s.lock, err = pebble.LockDirectory(dir, s.fs)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("lock the state store's folder: %w", err)
	}
	if err != nil {
		return fmt.Errorf("the state store's folder %s is %w", dir, ErrInUse)
	}
	return nil
}

// open opens the files, and deletes files that can't be opened.
func (s *Store) open() error {
	if err := s.removeRemains(); err != nil {
		return err
	}
	why := s.failed.mark()
	if why == "" && s.hasLostList() {
		why = "the file that names the list of tables is missing"
	}
	if why == "" {
		err := s.openFiles()
		if !cannotBeOpened(err) {
			return err
		}
		why = oneLine(err)
	}
	s.options.Log.Warn("deleted the state store on disk; the log is folded anew", "folder", s.options.Dir, "reason", why)
	if err := s.removeFiles(why); err != nil {
		return err
	}
	return s.openFiles()
}

// hasLostList says whether there are tables, and nothing names the list of tables:
// Pebble would begin anew without a word.
func (s *Store) hasLostList() bool {
	names, err := s.fs.List(s.options.Dir)
	has := func(pattern string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return match(pattern, name) })
	}
	return err == nil && has("*.sst") && !has("marker.manifest.*")
}

// openFiles opens Pebble's files. Pebble panics over some damaged files.
func (s *Store) openFiles() error {
	s.disk = newPatientDisk(s.fs, s.options)
	options := tuned(s.options.Memory)
	defer options.Cache.Unref()
	options.FS = s.disk.FS
	options.Lock = s.lock
	options.Logger = s.failed
	options.EventListener = s.listener()
	return s.failed.unlessStuck(func() (err error) {
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("%w: %v", pebble.ErrCorruption, cause)
			}
		}()
		s.db, err = pebble.Open(s.options.Dir, options)
		return err
	})
}

// removeRemains deletes the snapshots of earlier releases, and files that a
// killed process has left.
func (s *Store) removeRemains() error {
	snapshots := 0
	err := s.remove(func(name string) bool {
		snapshot := match("*.snapshot", name) || match("writing-*", name)
		if snapshot {
			snapshots++
		}
		return snapshot || name == roomFile || name == exportFolder || name == importFolder
	})
	if snapshots > 0 {
		s.options.Log.Info("deleted the snapshots of an earlier release, which the state store replaces", "folder", s.options.Dir, "files", snapshots)
	}
	return err
}

// removeFiles deletes everything but the lock. The store is marked meanwhile, so
// that a killed process leaves no half of a store.
func (s *Store) removeFiles(why string) error {
	if err := s.failed.setMark(why); err != nil {
		return err
	}
	if err := s.remove(func(name string) bool { return name != "LOCK" && name != markFile }); err != nil {
		return err
	}
	return s.failed.unmark()
}

func (s *Store) remove(unwanted func(name string) bool) error {
	names, err := s.fs.List(s.options.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if unwanted(name) {
			if err := s.fs.RemoveAll(s.fs.PathJoin(s.options.Dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func match(pattern, name string) bool {
	matched, _ := filepath.Match(pattern, name) // the patterns are sound
	return matched
}

// Clear deletes all keys, durably, also keys that no flush has brought to the
// disk.
func (s *Store) Clear() error {
	s.swap.Lock()
	defer s.swap.Unlock()
	if s.closed {
		return errClosed
	}
	err := s.closeFiles()
	if err == nil {
		err = s.removeFiles("the store was about to be cleared")
	}
	if err == nil {
		err = s.openFiles()
	}
	if err != nil {
		s.closed = true
		return fmt.Errorf("clear the state store in %s: %w", s.options.Dir, err)
	}
	return nil
}

// Close closes the store, and writes nothing: without a [Store.Flush] before,
// the next Open finds the store as of the last flush. While the disk is full,
// and after a write that failed for good, Pebble never ends: then the files and
// the lock stay open until the process ends.
func (s *Store) Close() error {
	s.swap.Lock()
	defer s.swap.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.disk.full.Load() || s.failed.stuck() {
		return nil
	}
	return errors.Join(s.closeFiles(), s.lock.Close())
}

var errClosed = errors.New("the state store is closed")

// closeFiles closes Pebble.
func (s *Store) closeFiles() error {
	s.pending = nil
	err := s.failed.unlessStuck(s.db.Close)
	if err != nil && s.Err() == nil {
		return fmt.Errorf("close the state store: %w", err)
	}
	return nil
}
