package service

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// garbage is how many bytes of garbage may pile up between two runs of the
	// collector. With less, the collector of a small process would run all the time.
	garbage = 96 << 20
	// leastGarbage and mostGarbage bound the garbage in percent of the live heap. The
	// collector of a large process runs more often than by Go's default of 100.
	leastGarbage = 50
	mostGarbage  = 1000
)

// boundGarbage bounds the garbage of the process in bytes, until stop is called.
// By Go's default as much garbage piles up as is alive, so caches of a fixed size
// take twice their size. GOGC and GOMEMLIMIT count as ever: with one of both,
// boundGarbage does nothing.
func boundGarbage() (stop func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	was, stopped := debug.SetGCPercent(garbagePercent(0)), new(atomic.Bool)
	afterEachCollection(stopped)
	return func() {
		stopped.Store(true)
		debug.SetGCPercent(was)
	}
}

// afterEachCollection sets the bound anew each time that the collector has run:
// the collector frees an object that nobody has.
func afterEachCollection(stopped *atomic.Bool) {
	runtime.AddCleanup(new([32]byte), func(stopped *atomic.Bool) {
		if !stopped.Load() {
			debug.SetGCPercent(garbagePercent(liveHeap()))
			afterEachCollection(stopped)
		}
	}, stopped)
}

// garbagePercent is the bound in percent of a live heap.
func garbagePercent(live uint64) int {
	return int(min(max(garbage*100/max(live, 1), leastGarbage), mostGarbage))
}

// liveHeap is the number of bytes that the last run of the collector has found
// alive.
func liveHeap() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
