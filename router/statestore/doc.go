// Package statestore keeps the values of the command service's state store on
// disk, in Pebble: a thin layer that knows keys and values, and no streams.
//
// A tour, file by file:
//
//   - store.go opens, closes and empties the store of a folder. One process has
//     the folder.
//   - tuning.go divides the memory of the store between the block cache and the
//     memtables, and sets Pebble's options.
//   - batch.go writes: a [Batch] is all there or not there, and a flush brings
//     everything written before to the disk. There is no write-ahead log,
//     because topic events is the log.
//   - read.go reads single keys and ranges of keys.
//   - full.go waits while the disk is full.
//   - failure.go notices damaged files and writes that fail for good.
//   - export.go writes the store to a file beside live traffic, and import.go makes
//     a store from such a file.
//   - stats.go counts for metrics.
package statestore
