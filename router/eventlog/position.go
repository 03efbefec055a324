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

// Max is the first position that covers both.
func (p Position) Max(other Position) Position {
	both := Position{}
	for _, one := range []Position{p, other} {
		for partition, next := range one {
			both[partition] = max(both[partition], next)
		}
	}
	return both
}

// SentCommand is a command that Kafka holds. It stands for a place in the log
// that nobody knows yet: that of its outcome.
type SentCommand struct {
	Stream string
	ID     string
	CommandPlace
}

// The first byte of every token says which layout it has: of a place in the
// log, or of a command.
const (
	positionVersion    = 1
	sentCommandVersion = 2
)

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

// EncodeSentCommand writes a command as a token of the same kind: the version
// byte; an unsigned varint each for partition and offset; topic id, stream and
// command id, each behind its length as an unsigned varint.
func EncodeSentCommand(c SentCommand) string {
	token := []byte{sentCommandVersion}
	token = binary.AppendUvarint(token, uint64(c.Partition))
	token = binary.AppendUvarint(token, uint64(c.Offset))
	for _, text := range []string{c.TopicID, c.Stream, c.ID} {
		token = binary.AppendUvarint(token, uint64(len(text)))
		token = append(token, text...)
	}
	return base64.RawURLEncoding.EncodeToString(token)
}

// Awaited is what somebody waits for: a position, a command's outcome if
// Command isn't nil, or both. A token names either.
type Awaited struct {
	Position Position
	Command  *SentCommand
}

// ParseAwaited reads a token of either layout, and nothing else.
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

// CommandPlace is where a command stands in topic commands.
type CommandPlace struct {
	Partition int32
	CommandPosition
}
