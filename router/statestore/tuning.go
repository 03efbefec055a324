package statestore

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
)

const (
	// LeastMemory is the smallest useful memory of a store, in bytes.
	LeastMemory = 8 << 20
	// leastMemtable and mostMemtable bound the size of a memtable. A batch of more
	// than half a memtable gets a memtable of its own.
	leastMemtable = 1 << 20
	mostMemtable  = 16 << 20
	// tableSize is the size of a table on disk, on every level. A read needs a
	// table's filter and index: tables of Pebble's usual sizes make a read of one
	// small value cost 50 to 90 KB.
	tableSize = 8 << 20
	// manifestSize is the size after which Pebble begins a new list of tables. Each
	// flush adds to the list, and Open reads all of it.
	manifestSize = 4 << 20
	filterBits   = 10 // of a key: one of 100 absent keys costs a read
	// Each flush adds a small table to level 0, and each compaction of level 0
	// writes the level below again. Pebble's usual settings (few tables in level 0,
	// and 64 MB below) are for large flushes: with a flush a second these settings
	// write 15 times as much as these.
	flushesBelow = 16
	flushesStop  = 40 // writes wait for compactions then
	firstLevel   = 8 << 20
)

// tuned are Pebble's options for a store within so many bytes of memory.
//
// Pebble deducts the memtables from the block cache. There are up to three
// memtables: one is written, one is flushed, and an empty one is kept.
func tuned(memory int64) *pebble.Options {
	memory = max(memory, LeastMemory)
	o := &pebble.Options{
		Cache:                       pebble.NewCache(memory),
		DisableWAL:                  true, // topic events is the log
		FormatMajorVersion:          pebble.FormatNewest,
		MemTableSize:                uint64(min(max(memory/8, leastMemtable), mostMemtable)),
		MemTableStopWritesThreshold: 2,
		MaxManifestFileSize:         manifestSize,
		MaxOpenFiles:                500,
		L0CompactionThreshold:       flushesBelow,
		L0StopWritesThreshold:       flushesStop,
		LBaseMaxBytes:               firstLevel,
	}
	for level := range o.Levels {
		o.TargetFileSizes[level] = tableSize
		o.Levels[level].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	o.Experimental.ReadSamplingMultiplier = -1 // reads cause no compactions
	return o
}
