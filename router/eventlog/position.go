package eventlog

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// Position is a place in the log: by partition, the offset of the first record
// behind the place. A partition without an entry is at offset 0. The position of
// a read model has the checkpoints of all partitions. The position of a record
// has the record's partition and the next offset.
type Position map[int32]int64

// Covers reports whether p is at other or behind, in each partition.
func (p Position) Covers(other Position) bool {
	for partition, next := range other {
		if p[partition] < next {
			return false
		}
	}
	return true
}

// Max returns the first position behind both: the larger offset of each
// partition.
func (p Position) Max(other Position) Position {
	both := Position{}
	for _, one := range []Position{p, other} {
		for partition, next := range one {
			both[partition] = max(both[partition], next)
		}
	}
	return both
}

// SentCommand is a command in topic commands. A sent command stands for the
// place of its outcome in the log, because nobody knows the place yet.
type SentCommand struct {
	Stream string
	ID     string
	CommandPlace
}

// The first byte of a token names the layout: a place in the log, or a command.
const (
	positionVersion    = 1
	sentCommandVersion = 2
)

// EncodePosition returns a position as an opaque token for clients, fit for
// headers and URLs: base64url without padding (RFC 4648, section 5) of a layout
// byte, and of partition and offset as unsigned varints, ordered by partition.
// One position has one token, so a partition at 0 is left out.
func EncodePosition(p Position) string {
	token := append(make([]byte, 0, 64), positionVersion)
	if len(p) == 1 { // of a record
		for partition, next := range p {
			token = appendPlace(token, partition, next)
		}
	} else {
		for _, partition := range slices.Sorted(maps.Keys(p)) {
			token = appendPlace(token, partition, p[partition])
		}
	}
	return encodeToken(token)
}

// encodeToken is base64url without padding, made with one allocation for a usual
// token.
func encodeToken(token []byte) string {
	return string(base64.RawURLEncoding.AppendEncode(make([]byte, 0, 256), token))
}

func appendPlace(token []byte, partition int32, next int64) []byte {
	if next <= 0 {
		return token
	}
	return binary.AppendUvarint(binary.AppendUvarint(token, uint64(partition)), uint64(next))
}

var errPosition = errors.New("must be a position as this service gave it")

// EncodeSentCommand returns a command as a token: base64url of the layout byte;
// partition and offset as unsigned varints; topic id, stream and command id,
// each with its length in front as an unsigned varint.
func EncodeSentCommand(c SentCommand) string {
	token := append(make([]byte, 0, 128), sentCommandVersion)
	token = binary.AppendUvarint(token, uint64(c.Partition))
	token = binary.AppendUvarint(token, uint64(c.Offset))
	for _, text := range [...]string{c.TopicID, c.Stream, c.ID} {
		token = binary.AppendUvarint(token, uint64(len(text)))
		token = append(token, text...)
	}
	return encodeToken(token)
}

// Awaited is the place that a reader waits for: a position, the outcome of a
// command if Command isn't nil, or both. A token names one of the two.
type Awaited struct {
	Position Position
	Command  *SentCommand
}

// ParseAwaited reads a token of [EncodePosition] or [EncodeSentCommand]. Any
// other text is an error.
func ParseAwaited(text string) (Awaited, error) {
	position, err := ParsePosition(text)
	if err == nil {
		return Awaited{Position: position}, nil
	}
	command, err := parseSentCommand(text)
	return Awaited{Command: command}, err
}

func parseSentCommand(text string) (*SentCommand, error) {
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) == 0 || token[0] != sentCommandVersion {
		return nil, errPosition
	}
	rest, ok := token[1:], true
	number := func(limit uint64) uint64 {
		n, length := binary.Uvarint(rest)
		if length <= 0 || n > limit {
			ok = false
			return 0
		}
		rest = rest[length:]
		return n
	}
	word := func() string {
		length := number(uint64(len(rest)))
		if length > uint64(len(rest)) {
			ok = false
			return ""
		}
		word := string(rest[:length])
		rest = rest[length:]
		ok = ok && word != "" && utf8.ValidString(word) && !strings.Contains(word, "\x00")
		return word
	}
	c := new(SentCommand)
	c.Partition = int32(number(math.MaxInt32))
	c.Offset = int64(number(math.MaxInt64))
	c.TopicID, c.Stream, c.ID = word(), word(), word()
	if !ok || len(rest) > 0 || EncodeSentCommand(*c) != text {
		return nil, errPosition
	}
	return c, nil
}

// ParsePosition reads a token of [EncodePosition]. Any other text is an error,
// another encoding of a position included.
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

// CommandPlace is a command's place in topic commands, with the partition.
type CommandPlace struct {
	Partition int32
	CommandPosition
}
