package statestore

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var (
	// ErrNotExport is returned by [Import] for a file that is no export, or an
	// export that was cut or changed.
	ErrNotExport = errors.New("not a whole export of a state store")
	// ErrNotEmpty is returned by [Import] for a folder that has a state store.
	ErrNotEmpty = errors.New("there is a state store already")
)

// importFolder holds the files of an import until the files are complete.
const importFolder = "importing"

// Import makes the store of a folder from an export, and deletes the store that
// the folder has, if replace is set. check looks at the new store before the new
// store takes its place. After an error the folder is as before. The error is
// [ErrInUse], [ErrNotEmpty] or [ErrNotExport], the file system's, or check's.
func Import(o Options, replace bool, export io.Reader, check func(*Store) error) (err error) {
	s := newStore(o)
	if err := s.takeLock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lock.Close()) }()
	if err := s.removeRemains(); err != nil {
		return err
	}
	if !replace {
		if err := s.mustBeEmpty(); err != nil {
			return err
		}
	}
	dir := s.fs.PathJoin(o.Dir, importFolder)
	defer func() { err = errors.Join(err, s.fs.RemoveAll(dir)) }()
	if err := s.extract(dir, export); err != nil {
		return err
	}
	if err := checked(Options{Dir: dir, Memory: o.Memory, Log: o.Log, FS: o.FS}, check); err != nil {
		return err
	}
	return s.moveFrom(dir)
}

// mustBeEmpty returns ErrNotEmpty if Pebble would find a store in the folder.
func (s *Store) mustBeEmpty() error {
	names, err := s.fs.List(s.options.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if match("marker.manifest.*", name) {
			return fmt.Errorf("%w in %s", ErrNotEmpty, s.options.Dir)
		}
	}
	return nil
}

// checked opens a store whose files have just been extracted.
func checked(o Options, check func(*Store) error) error {
	s := newStore(o)
	if err := s.takeLock(); err != nil {
		return err
	}
	if err := s.openFiles(); err != nil {
		return errors.Join(fmt.Errorf("%w: %s", ErrNotExport, oneLine(err)), s.lock.Close())
	}
	return errors.Join(check(s), s.Close())
}

// moveFrom moves files into the store's folder, in place of the files that are
// there. The store is marked meanwhile, so that a killed process leaves no half of
// a store.
func (s *Store) moveFrom(dir string) error {
	names, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	if err := s.failed.setMark("an import was not complete"); err != nil {
		return err
	}
	if err := s.remove(func(name string) bool { return name != "LOCK" && name != markFile && name != importFolder }); err != nil {
		return err
	}
	for _, name := range names {
		if name == "LOCK" {
			continue
		}
		if err := s.fs.Rename(s.fs.PathJoin(dir, name), s.fs.PathJoin(s.options.Dir, name)); err != nil {
			return err
		}
	}
	return errors.Join(s.syncFolder(), s.failed.unmark(), s.syncFolder())
}

// syncFolder brings the names of the folder to the disk.
func (s *Store) syncFolder() error {
	folder, err := s.fs.OpenDir(s.options.Dir)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

// extract writes the files of an export to a folder.
func (s *Store) extract(dir string, export io.Reader) error {
	if err := s.fs.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	in, sum := tar.NewReader(export), sha256.New()
	for first := true; ; first = false {
		entry, err := in.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotExport, cutShort(err))
		}
		switch {
		case first && entry.Name != exportFormat:
			return fmt.Errorf("%w: the first entry is %q", ErrNotExport, entry.Name)
		case entry.Name == exportSum:
			return checkSum(in, sum)
		case strings.ContainsAny(entry.Name, `/\`) || strings.HasPrefix(entry.Name, "."):
			return fmt.Errorf("%w: entry %q", ErrNotExport, entry.Name)
		}
		sumName(sum, entry.Name, entry.Size)
		if first {
			continue
		}
		if err := s.extractFile(s.fs.PathJoin(dir, entry.Name), io.TeeReader(in, sum)); err != nil {
			return err
		}
	}
}

// cutShort is the error of a file that ends before its sum.
func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func checkSum(in io.Reader, sum hash.Hash) error {
	wanted, err := io.ReadAll(io.LimitReader(in, 2*sha256.Size+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotExport, err)
	}
	if string(wanted) != hex.EncodeToString(sum.Sum(nil)) {
		return fmt.Errorf("%w: the checksum is wrong", ErrNotExport)
	}
	return nil
}

func (s *Store) extractFile(path string, content io.Reader) error {
	file, err := s.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	read := &readError{Reader: content}
	_, err = io.Copy(file, read)
	if read.err != nil {
		err = fmt.Errorf("%w: %w", ErrNotExport, read.err)
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// readError keeps the error of a reader: an export that is cut is told from a disk
// that is full.
type readError struct {
	io.Reader
	err error
}

// Read implements io.Reader.
func (r *readError) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
