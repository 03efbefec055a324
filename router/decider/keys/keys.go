// Package keys has the keys of the state store on disk.
//
// Each key of a partition begins with 'p', the partition (4 bytes) and
// a kind. Kinds 'f' (fences of reactions) and 'c' (open causes) are reserved.
//
//	'g' "meta"                     what the store is made of, JSON
//	'p' partition 'm'              how far the partition is folded, JSON
//	'p' partition 's' stream       a stream
//	'p' partition 'o' stream n     outcomes 16*n to 16*n+15 of a stream
//	'p' partition 'd' stream n     deferred command n of a stream
//	'p' partition 'e' stream       the last commands of earlier topics commands
//	'p' partition 'w' stream       the stream has deferred commands
//	'p' partition 'n' stream n     the command that record n of a stream has scheduled
//	'p' partition 't' due stream n  … by due time
//	'p' partition 'i' offset       the gate ignored the record of topic events
package keys

import (
	"bytes"
	"encoding/binary"
)

// Kind is a kind of keys.
type Kind byte

// The kinds.
const (
	Meta      Kind = 'm'
	Stream    Kind = 's'
	Outcomes  Kind = 'o'
	Deferred  Kind = 'd'
	Earlier   Kind = 'e'
	Waiting   Kind = 'w'
	Ignored   Kind = 'i'
	Scheduled Kind = 'n'
	due       Kind = 't'
)

// Store is the key of what the store is made of.
var Store = []byte("gmeta")

// Prefix is the beginning of a partition's keys of a kind.
func Prefix(key []byte, partition int32, kind Kind) []byte {
	key = binary.BigEndian.AppendUint32(append(key, 'p'), uint32(partition))
	return append(key, byte(kind))
}

// OfStream is the key of a kind that a stream has once.
func OfStream(key []byte, partition int32, kind Kind, stream string) []byte {
	return append(Prefix(key, partition, kind), stream...)
}

// Numbered is a key of a kind that a stream has many times. The length of the
// stream's name is in front of the name: names may be the beginning of others.
func Numbered(key []byte, partition int32, kind Kind, stream string, n uint64) []byte {
	key = binary.AppendUvarint(Prefix(key, partition, kind), uint64(len(stream)))
	return binary.BigEndian.AppendUint64(append(key, stream...), n)
}

// OfOffset is a key of a kind that a record of topic events has.
func OfOffset(partition int32, kind Kind, offset int64) []byte {
	return binary.BigEndian.AppendUint64(Prefix(nil, partition, kind), uint64(offset))
}

// Offset is the offset in a key of [OfOffset]. ok is false for another key.
func Offset(key []byte) (offset int64, ok bool) {
	at := len(key) - 8
	if at != len(Prefix(nil, 0, Ignored)) {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(key[at:])), true
}

// OfDue is the key of a scheduled command by due time, in milliseconds since 1970,
// from -1. Keys are in the order of the due times.
func OfDue(partition int32, dueAt int64, stream string, n uint64) []byte {
	key := binary.BigEndian.AppendUint64(Prefix(nil, partition, due), uint64(dueAt+1))
	return binary.BigEndian.AppendUint64(append(key, stream...), n)
}

// Due is the due time and the stream in a key of [OfDue]. ok is false for another
// key.
func Due(key []byte) (dueAt int64, stream string, ok bool) {
	at := len(Prefix(nil, 0, due))
	if len(key) < at+16 {
		return 0, "", false
	}
	return int64(binary.BigEndian.Uint64(key[at:])) - 1, string(key[at+8 : len(key)-8]), true
}

// Behind is the first key that doesn't begin with a prefix. The prefix must have
// a byte below 255.
func Behind(prefix []byte) []byte {
	end := bytes.Clone(bytes.TrimRight(prefix, "\xff"))
	end[len(end)-1]++
	return end
}
