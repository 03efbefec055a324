package statestore

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

const (
	// exportFormat is the name of the first entry of an export, and names the
	// layout: a tar of Pebble's files, and at the end the SHA-256 of names and files.
	exportFormat = "millrace-state-export-1"
	exportSum    = "sha256"
	// exportFolder holds the files of an export while the export is written.
	exportFolder = "exporting"
)

// ErrExporting is returned by [Store.Export] while another export is written.
var ErrExporting = errors.New("another export is being written")

// Export writes the store as of the last flush. The store goes on meanwhile; the
// tables of the export stay on the disk until the export is written.
func (s *Store) Export(w io.Writer) (err error) {
	if !s.exporting.TryLock() {
		return ErrExporting
	}
	defer s.exporting.Unlock()
	dir := s.fs.PathJoin(s.options.Dir, exportFolder)
	if err := s.checkpoint(dir); err != nil {
		return fmt.Errorf("export the state store: %w", err)
	}
	err = s.exportFolder(w, dir)
	if err := errors.Join(err, s.fs.RemoveAll(dir)); err != nil {
		return fmt.Errorf("export the state store: %w", err)
	}
	return nil
}

// checkpoint links the files of the store into a folder.
func (s *Store) checkpoint(dir string) error {
	s.swap.RLock()
	defer s.swap.RUnlock()
	switch {
	case s.closed:
		return errClosed
	case s.Full():
		return ErrFull
	}
	return s.failed.unlessStuck(func() error { return s.db.Checkpoint(dir) })
}

func (s *Store) exportFolder(w io.Writer, dir string) error {
	names, err := s.fs.List(dir)
	if err != nil {
		return err
	}
	out := exportWriter{tar.NewWriter(w), sha256.New()}
	if err := out.add(exportFormat, strings.NewReader(""), 0); err != nil {
		return err
	}
	for _, name := range names {
		if err := s.exportFile(&out, dir, name); err != nil {
			return err
		}
	}
	sum := hex.EncodeToString(out.sum.Sum(nil))
	return errors.Join(out.add(exportSum, strings.NewReader(sum), int64(len(sum))), out.tar.Close())
}

func (s *Store) exportFile(out *exportWriter, dir, name string) (err error) {
	file, err := s.fs.Open(s.fs.PathJoin(dir, name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	return out.add(name, file, info.Size())
}

// exportWriter writes entries, and sums names and contents.
type exportWriter struct {
	tar *tar.Writer
	sum hash.Hash
}

func (w *exportWriter) add(name string, content io.Reader, size int64) error {
	if err := w.tar.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, Format: tar.FormatPAX}); err != nil {
		return err
	}
	sumName(w.sum, name, size)
	copied, err := io.CopyN(io.MultiWriter(w.tar, w.sum), content, size)
	if err != nil {
		return fmt.Errorf("%s, after %d of %d bytes: %w", name, copied, size, err)
	}
	return nil
}

// sumName adds an entry's name and size to a sum: two files can't pass for one.
func sumName(sum hash.Hash, name string, size int64) {
	_, _ = sum.Write(binary.BigEndian.AppendUint64([]byte(name+"\n"), uint64(size))) // never fails
}
