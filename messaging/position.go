package messaging

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
)

// Position is a place in the log: by partition, the offset of the first
// record that is not before it. A partition that is not in it is at 0. All of
// a read model's checkpoints make one, and so does a single record: its
// partition, and the offset after it.
type Position map[int32]int64

// Covers says whether all that is before other is before p too.
func (p Position) Covers(other Position) bool {
	for partition, next := range other {
		if p[partition] < next {
			return false
		}
	}
	return true
}

// positionVersion is the first byte of every token. Another layout has
// another number.
const positionVersion = 1

// EncodePosition writes a position as a token for clients, opaque to them:
// base64url without padding (RFC 4648, section 5), fit for headers and URLs,
// of a version byte, and an unsigned varint each for partition and offset, by
// partition. One position has one token, so partitions at 0 are left out.
func EncodePosition(p Position) string {
	token := []byte{positionVersion}
	for _, partition := range slices.Sorted(maps.Keys(p)) {
		if next := p[partition]; next > 0 {
			token = binary.AppendUvarint(token, uint64(partition))
			token = binary.AppendUvarint(token, uint64(next))
		}
	}
	return base64.RawURLEncoding.EncodeToString(token)
}

var errPosition = errors.New("must be a position as this service gave it")

// ParsePosition reads a token as [EncodePosition] writes it, and nothing else.
func ParsePosition(text string) (Position, error) {
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) == 0 || token[0] != positionVersion {
		return nil, errPosition
	}
	p := Position{}
	for rest := token[1:]; len(rest) > 0; {
		partition, n := binary.Uvarint(rest)
		if n <= 0 || partition > math.MaxInt32 {
			return nil, errPosition
		}
		next, m := binary.Uvarint(rest[n:])
		if m <= 0 || next > math.MaxInt64 {
			return nil, errPosition
		}
		p[int32(partition)] = int64(next)
		rest = rest[n+m:]
	}
	// Partitions out of order or twice, long varints, loose bits, line breaks.
	if EncodePosition(p) != text {
		return nil, errPosition
	}
	return p, nil
}
