package statestore

import (
	"errors"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// fullEvery is the time between two looks at a full disk.
	fullEvery = 500 * time.Millisecond
	// room is how many bytes must fit on the disk before Pebble goes on: Pebble
	// doesn't survive a second full disk in some of its writes.
	room = 16 << 20
	// roomFile is the file that looks for room.
	roomFile = "room"
)

// patientDisk is a file system whose writes wait while the disk is full. Without
// waiting, Pebble tries again at once and for ever, and ends the process if the
// list of tables can't be written.
type patientDisk struct {
	vfs.FS
	full atomic.Bool
}

func newPatientDisk(fs vfs.FS, o Options) *patientDisk {
	d, dir, log := new(patientDisk), o.Dir, o.Log
	set := func(full bool) {
		d.full.Store(full)
		if o.Full != nil {
			o.Full(full)
		}
	}
	d.FS = vfs.OnDiskFull(fs, func() {
		set(true)
		defer set(false)
		log.Error("the disk is full: the state store waits, and commands are refused", "folder", dir)
		began := time.Now()
		for !hasRoom(fs, fs.PathJoin(dir, roomFile)) {
			time.Sleep(fullEvery)
		}
		log.Info("the disk has room again, and the state store goes on", "folder", dir, "after", time.Since(began).Round(time.Millisecond).String())
	})
	return d
}

// Full says whether the disk is full now.
func (s *Store) Full() bool { return s.disk.full.Load() }

// hasRoom writes a file, because the free space of a disk is not always for this
// process.
func hasRoom(fs vfs.FS, path string) bool {
	file, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return !errors.Is(err, syscall.ENOSPC)
	}
	zeros := make([]byte, 1<<20)
	for n := 0; n < room && err == nil; n += len(zeros) {
		_, err = file.Write(zeros)
	}
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close(), fs.Remove(path))
	return !errors.Is(err, syscall.ENOSPC)
}
