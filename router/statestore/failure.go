package statestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// markFile is there while the files of a store are damaged, and holds the reason.
// The next Open deletes such a store.
const markFile = "damaged"

// failure notices when a store can't go on: damaged files, or a write that
// failed for good. failure is Pebble's logger too, because Pebble says so
// through the logger.
type failure struct {
	fs  vfs.FS
	dir string
	log *slog.Logger

	mu     sync.Mutex    // guards err and marked
	seen   chan struct{} // closed with the first failure
	err    error         // set before seen is closed
	marked bool
	// blocked is closed when a goroutine of Pebble waits for ever: every later
	// write may wait too.
	blocked     chan struct{}
	onceBlocked sync.Once
}

func newFailure(fs vfs.FS, dir string, log *slog.Logger) *failure {
	return &failure{fs: fs, dir: dir, log: log, seen: make(chan struct{}), blocked: make(chan struct{})}
}

// Failed is closed when the store can't go on: [Store.Err] says why.
func (s *Store) Failed() <-chan struct{} { return s.failed.seen }

// Err is the first failure, nil while there is none. After a failure the process
// should end; the next Open finds the store as of the last flush, or deletes a
// damaged store.
func (s *Store) Err() error {
	select {
	case <-s.failed.seen:
		return s.failed.err
	default:
		return nil
	}
}

// note takes an error of Pebble. If files are damaged, note marks the store: also
// after a failure of another kind.
func (f *failure) note(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	damaged := isDamage(err)
	if damaged && !f.marked {
		f.marked = true
		if failed := f.setMark(oneLine(err)); failed != nil {
			f.log.Error("can't mark the state store as damaged: delete the folder", "folder", f.dir, "error", failed)
		}
	}
	if f.err != nil {
		return
	}
	what := "can't go on"
	if damaged {
		what = "is damaged, and will be deleted at the next start"
	}
	f.err = &failureError{fmt.Sprintf("the state store in %s %s: %s", f.dir, what, oneLine(err)), err}
	close(f.seen)
}

// failureError is the error of a failure, in one line.
type failureError struct {
	text  string
	cause error
}

// Error implements error.
func (e *failureError) Error() string { return e.text }

// Unwrap returns Pebble's error.
func (e *failureError) Unwrap() error { return e.cause }

// oneLine is the text of an error of Pebble, whose errors have details on further
// lines.
func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// isDamage says whether an error means that files are cut, changed or missing.
func isDamage(err error) bool {
	return pebble.IsCorruptionError(err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fs.ErrNotExist)
}

// cannotBeOpened says whether the error of an Open is the fault of the files: any
// error but those of the operating system, such as a disk that is full, or a
// folder that this process may not read.
func cannotBeOpened(err error) bool {
	if err == nil {
		return false
	}
	var system interface{ Timeout() bool } // syscall.Errno, on every system
	return isDamage(err) || !errors.As(err, &system)
}

func (f *failure) stuck() bool {
	select {
	case <-f.blocked:
		return true
	default:
		return false
	}
}

// unlessStuck calls a function of Pebble that may wait for ever after a write
// that failed for good, and returns the failure then.
func (f *failure) unlessStuck(call func() error) error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err
	case <-f.blocked:
		<-f.seen
		return f.err
	}
}

// Infof is part of [pebble.Logger].
func (f *failure) Infof(format string, args ...any) {
	f.log.Debug("state store: " + fmt.Sprintf(format, args...))
}

// Errorf is part of [pebble.Logger].
func (f *failure) Errorf(format string, args ...any) {
	f.log.Warn("state store: " + fmt.Sprintf(format, args...))
}

// Fatalf is part of [pebble.Logger]. Pebble can't go on, and expects that the
// process ends here. The process ends in an orderly way instead, and Pebble's
// goroutine waits for the end.
func (f *failure) Fatalf(format string, args ...any) {
	f.onceBlocked.Do(func() { close(f.blocked) })
	f.note(fmt.Errorf(format, args...)) //nolint:err113 // Pebble's own text
	select {}
}

// mark is the reason why the store must be deleted, "" for a store without a
// mark.
func (f *failure) mark() string {
	file, err := f.fs.Open(f.markPath())
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	why, err := io.ReadAll(file)
	if err != nil || len(why) == 0 {
		return "marked as damaged"
	}
	return string(why)
}

// setMark makes the next Open delete the store.
func (f *failure) setMark(why string) error {
	file, err := f.fs.Create(f.markPath(), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, why)
	return errors.Join(err, file.Sync(), file.Close())
}

func (f *failure) unmark() error {
	if err := f.fs.Remove(f.markPath()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *failure) markPath() string { return f.fs.PathJoin(f.dir, markFile) }
