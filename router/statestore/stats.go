package statestore

import (
	"errors"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Stats are counts since the store was opened, and sizes now.
type Stats struct {
	// Hits and Misses count looks into the block cache. A miss reads a block from
	// the disk, or from the memory that the operating system keeps of the file.
	Hits, Misses int64
	// CacheBytes and MemtableBytes are the memory of the store.
	CacheBytes, MemtableBytes int64
	// DiskBytes is the size of the store's files.
	DiskBytes int64
	// Written and Read are the bytes of tables that flushes and compactions wrote,
	// and that compactions read.
	Written, Read int64
	// Debt is how many bytes compactions have yet to write: a debt that grows means
	// that the disk is too slow.
	Debt int64
	// Levels is how many tables a read may look into.
	Levels int
	// Stalls counts the writes that waited for flushes or compactions, and Stalled
	// is how long these writes waited, together.
	Stalls  int64
	Stalled time.Duration
	// Full is true while the disk is full.
	Full bool
}

// Stats returns the counts and sizes of the store; all are 0 once the store is
// closed.
func (s *Store) Stats() (st Stats) {
	s.swap.RLock()
	defer s.swap.RUnlock()
	if s.closed || s.failed.stuck() || s.Full() {
		return Stats{Full: s.Full()} // Pebble may not answer
	}
	m := s.db.Metrics()
	st = Stats{
		Hits: m.BlockCache.Hits, Misses: m.BlockCache.Misses,
		CacheBytes: m.BlockCache.Size, MemtableBytes: int64(m.MemTable.Size + m.MemTable.ZombieSize),
		DiskBytes: int64(m.DiskSpaceUsage()), Debt: int64(m.Compact.EstimatedDebt), Levels: m.ReadAmp(),
	}
	for _, level := range m.Levels {
		st.Written += int64(level.TableBytesFlushed + level.TableBytesCompacted)
		st.Read += int64(level.TableBytesRead)
	}
	st.Stalls, st.Stalled = s.stalls.now()
	return st
}

// stalls measures the stalls of writes.
type stalls struct {
	mu    sync.Mutex
	n     int64
	took  time.Duration
	since time.Time // zero without a stall now
}

func (s *stalls) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	s.since = time.Now()
}

func (s *stalls) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took += time.Since(s.since)
	s.since = time.Time{}
}

func (s *stalls) now() (n int64, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	took = s.took
	if !s.since.IsZero() {
		took += time.Since(s.since)
	}
	return s.n, took
}

// listener hears Pebble's events.
func (s *Store) listener() *pebble.EventListener {
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			if errors.Is(err, syscall.ENOSPC) {
				return // Pebble comes again
			}
			s.failed.note(err)
		},
		DataCorruption:  func(info pebble.DataCorruptionInfo) { s.failed.note(info.Details) },
		WriteStallBegin: func(pebble.WriteStallBeginInfo) { s.stalls.begin() },
		WriteStallEnd:   func() { s.stalls.end() },
	}
}
