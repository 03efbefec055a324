package decider

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// Disk is an ordered store of keys and values, compared byte by byte: the state
// store's streams on disk. Gets and Scans may come at any time from many
// goroutines; Write, Flush and Clear come from one goroutine.
//
// An error of Get or Scan ends the state store: what is on disk can't be trusted.
type Disk interface {
	// Get returns a key's value, nil if there is none. The caller owns the value.
	Get(key []byte) (value []byte, err error)
	// Scan calls fn for each key with from <= key < to, in order, as of one moment.
	// key and value are valid until fn returns. An error of fn ends the scan, and
	// is the error of Scan.
	Scan(from, to []byte, fn func(key, value []byte) error) error
	// Write applies changes: all, or after an error none. A nil value deletes the
	// key. Gets and Scans see the changes once Write has returned. A crash keeps
	// all changes of the first Writes, and nothing of the others.
	Write(changes iter.Seq2[[]byte, []byte]) error
	// Flush returns once no crash loses anything that was written. After an error
	// the caller tries again.
	Flush() error
	// Clear removes everything, for good.
	Clear() error
}

// The keys. Each key of a partition begins with 'p', the partition (4 bytes) and
// a kind. Kinds 'f' (fences of reactions), 'c' (open causes) and 't' (timers by
// due time, then stream) are reserved.
//
//	'g' "meta"                     what the store is made of, see [storeMeta]
//	'p' partition 'm'              how far the partition is folded, see [partitionMeta]
//	'p' partition 's' stream       a stream
//	'p' partition 'o' stream n     outcomes 16*n to 16*n+15 of a stream
//	'p' partition 'd' stream n     deferred command n of a stream
//	'p' partition 'e' stream       the last commands of earlier topics commands
//	'p' partition 'w' stream       the stream has deferred commands
type keyKind byte

const (
	kindMeta     keyKind = 'm'
	kindStream   keyKind = 's'
	kindOutcomes keyKind = 'o'
	kindDeferred keyKind = 'd'
	kindEarlier  keyKind = 'e'
	kindWaiting  keyKind = 'w'
)

var metaKey = []byte("gmeta")

// keyPrefix is the beginning of a partition's keys of a kind.
func keyPrefix(key []byte, partition int32, kind keyKind) []byte {
	key = binary.BigEndian.AppendUint32(append(key, 'p'), uint32(partition))
	return append(key, byte(kind))
}

// streamKey is the key of a kind that a stream has once.
func streamKey(key []byte, partition int32, kind keyKind, stream string) []byte {
	return append(keyPrefix(key, partition, kind), stream...)
}

// numberedKey is a key of a kind that a stream has many times. The length of the
// stream's name is in front of the name: names may be the beginning of others.
func numberedKey(key []byte, partition int32, kind keyKind, stream string, n uint64) []byte {
	key = binary.AppendUvarint(keyPrefix(key, partition, kind), uint64(len(stream)))
	return binary.BigEndian.AppendUint64(append(key, stream...), n)
}

// behind is the first key that doesn't begin with a prefix. The prefix must have
// a byte below 255.
func behind(prefix []byte) []byte {
	end := bytes.Clone(bytes.TrimRight(prefix, "\xff"))
	end[len(end)-1]++
	return end
}
