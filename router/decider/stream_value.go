package decider

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unique"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/fence"
	"github.com/millrace/millrace/router/decider/varint"
	"github.com/millrace/millrace/router/eventlog"
)

// storeFormat is the number of the layout of keys and values, and of the fold of
// a record. A change of [stream.fold] or of this file needs another number: a
// store of another format is folded anew.
const storeFormat = 2

// printedBlocks bounds the blocks whose fingerprints are in a stream's value.
// More are read from the blocks: only deferred commands make a stream remember
// so many outcomes.
const printedBlocks = 64

// The parts of a stream's value that few streams have.
const (
	hasParked    = 1 << iota // the first deferred command waits for an operator
	hasStopped               // this binary can't read the stream
	hasUnknown               // because of an event that this binary doesn't know
	hasEarlier               // there are decided commands of earlier topics commands
	hasNumbers               // there are deferred commands, or were
	hasFences                // there are commands of reactions
	hasUnclaimed             // there are values that nobody has taken
	hasSchedule              // there are scheduled commands
)

// stopped is why this binary can't read a stream, as read from disk.
type stopped struct {
	text    string
	unknown bool
}

func (e *stopped) Error() string { return e.text }

// Is tells an event of an unknown type from other reasons.
func (e *stopped) Is(target error) bool { return e.unknown && target == aggregate.ErrUnknownEvent }

// appendStream writes a stream's value: everything but full blocks of outcomes,
// deferred and scheduled commands, and the last commands of earlier topics commands. Numbers
// are unsigned varints, and a text has its length in front.
func appendStream(out []byte, registry *aggregate.Registry, name string, st *stream) ([]byte, error) {
	flags := bit(hasParked, st.parked) | bit(hasStopped, st.unreadable != nil) | bit(hasUnknown, errors.Is(st.unreadable, aggregate.ErrUnknownEvent)) |
		bit(hasEarlier, len(st.decidedBefore()) > 0) | bit(hasNumbers, st.deferredEnd > 0) | bit(hasFences, len(st.fences) > 0) |
		bit(hasUnclaimed, len(st.unclaimed()) > 0) | bit(hasSchedule, st.schedule.len() > 0)
	out = binary.AppendUvarint(out, flags)
	out = binary.AppendUvarint(out, st.head.Seq)
	out = binary.AppendUvarint(out, st.head.Version)
	out = append(out, st.head.Digest[:]...)
	var state []byte
	if t, _ := registry.OfStream(name); t != nil {
		var err error
		if state, err = t.EncodeState(st.state); err != nil {
			return nil, fmt.Errorf("stream %q: %w", name, err)
		}
	}
	out = varint.AppendText(out, string(state))
	out = appendPosition(out, st.decided)
	if flags&hasStopped != 0 {
		out = varint.AppendText(out, st.unreadable.Error())
	}
	if flags&hasNumbers != 0 {
		out = binary.AppendUvarint(out, st.deferredEnd)
		out = binary.AppendUvarint(out, uint64(st.deferred.len()))
	}
	if flags&hasFences != 0 {
		out = varint.AppendText(out, string(st.fences.Append(nil)))
	}
	if flags&hasUnclaimed != 0 {
		out = varint.AppendText(out, strings.Join(st.unclaimed(), " ")) // no claim's stream has a space
	}
	if flags&hasSchedule != 0 {
		out = binary.AppendUvarint(out, uint64(st.schedule.len()))
	}
	return appendRemembered(out, &st.outcomes), nil
}

func bit(bit uint64, set bool) uint64 {
	if set {
		return bit
	}
	return 0
}

func appendRemembered(out []byte, r *remembered) []byte {
	out = binary.AppendUvarint(out, r.from)
	out = binary.AppendUvarint(out, r.to-r.from)
	for _, b := range r.blocks[max(0, len(r.blocks)-printedBlocks):] {
		for _, sum := range &b.prints {
			out = binary.LittleEndian.AppendUint32(out, sum)
		}
	}
	behind := r.behindBlocks()
	for i := range r.newest {
		if behind+uint64(i) >= r.from {
			out = appendOutcome(out, &r.newest[i])
		}
	}
	return out
}

// The forms of a topic id.
const (
	textID = iota
	rawID  // 16 bytes, in base64url
)

func appendPosition(out []byte, p eventlog.CommandPosition) []byte {
	var raw [16]byte
	if n, err := base64.RawURLEncoding.Decode(raw[:], []byte(p.TopicID)); len(p.TopicID) == 22 && n == 16 && err == nil &&
		base64.RawURLEncoding.EncodeToString(raw[:]) == p.TopicID {
		out = append(append(out, rawID), raw[:]...)
	} else {
		out = varint.AppendText(append(out, textID), p.TopicID)
	}
	return binary.AppendUvarint(out, uint64(p.Offset))
}

var errValue = errors.New("the value does not have the form that this binary writes")

// streamHead is a stream as its value has the stream. Deferred and scheduled commands, the
// last commands of earlier topics, and fingerprints of all but the last blocks
// are under other keys.
type streamHead struct {
	stream    *stream
	deferred  uint64 // the number of deferred commands
	scheduled uint64 // … and of scheduled commands
	earlier   bool   // there are earlier topics
	state     int    // the bytes of the state
}

// readStream reads what appendStream writes.
func readStream(data []byte, registry *aggregate.Registry, name string, partition int32) (h streamHead, err error) {
	in := &valueReader{varint.Reader{Rest: data}, registry}
	st := new(stream)
	h.stream = st
	flags := in.Number(math.MaxInt64)
	st.head.Seq, st.head.Version = in.Number(math.MaxInt64), in.Number(math.MaxInt64)
	copy(st.head.Digest[:], in.Take(len(st.head.Digest)))
	body := in.Bytes()
	if h.state = len(body); h.state > 0 {
		t, _ := registry.OfStream(name)
		if t == nil {
			return h, fmt.Errorf("%w: a state of an unknown aggregate", errValue)
		}
		if st.state, err = t.DecodeState(body); err != nil {
			return h, fmt.Errorf("%w: %w", errValue, err)
		}
	}
	st.decided = in.position()
	st.parked, h.earlier = flags&hasParked != 0, flags&hasEarlier != 0
	if flags&hasStopped != 0 {
		st.unreadable = &stopped{string(in.Bytes()), flags&hasUnknown != 0}
	}
	if flags&hasNumbers != 0 {
		st.deferredEnd = in.Number(math.MaxInt64)
		h.deferred = in.Number(st.deferredEnd)
	}
	if flags&hasFences != 0 {
		if st.fences, err = fence.Read(in.Bytes()); err != nil {
			return h, fmt.Errorf("%w: %w", errValue, err)
		}
	}
	if flags&hasUnclaimed != 0 {
		st.setUnclaimed(strings.Fields(string(in.Bytes())))
	}
	if flags&hasSchedule != 0 {
		h.scheduled = in.Number(math.MaxInt32)
	}
	in.remembered(&st.outcomes, partition)
	return h, in.end()
}

// valueReader reads a value of the state store.
type valueReader struct {
	varint.Reader

	registry *aggregate.Registry // for outcomes
}

func (in *valueReader) end() error {
	if !in.Ended() {
		return errValue
	}
	return nil
}

func (in *valueReader) byte() byte {
	if b := in.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// remembered reads what appendRemembered writes. The blocks come without
// outcomes, and the fingerprints of the oldest of many blocks are zero.
func (in *valueReader) remembered(r *remembered, partition int32) {
	from := in.Number(math.MaxInt64)
	count := in.Number(math.MaxInt32)
	if in.Failed {
		return
	}
	end := (from + count) / blockSize // of the blocks
	first := min(from/blockSize, end)
	if end-first > uint64(len(in.Rest)+printedBlocks)*blockSize { // a bound, for hostile bytes
		in.Failed = true
		return
	}
	r.from, r.to = from, from+count
	all := make([]outcomeBlock, end-first)
	r.blocks = make([]*outcomeBlock, end-first)
	for i := range all {
		r.blocks[i], all[i].written = &all[i], true
	}
	for _, b := range r.blocks[max(0, len(r.blocks)-printedBlocks):] {
		for i := range b.prints {
			if raw := in.Take(4); raw != nil {
				b.prints[i] = binary.LittleEndian.Uint32(raw)
			}
		}
	}
	if in.Failed || r.to%blockSize == 0 {
		return
	}
	r.newest, r.ownNewest = make([]Outcome, r.to-end*blockSize), true
	for n := max(from, end*blockSize); n < r.to; n++ {
		r.newest[n-end*blockSize] = in.outcome(partition)
	}
}

func (in *valueReader) position() eventlog.CommandPosition {
	var p eventlog.CommandPosition
	switch in.byte() {
	case rawID:
		p.TopicID = base64.RawURLEncoding.EncodeToString(in.Take(16))
	case textID:
		p.TopicID = string(in.Bytes())
	default:
		in.Failed = true
	}
	p.TopicID = unique.Make(p.TopicID).Value() // all streams share the text
	p.Offset = int64(in.Number(math.MaxInt64))
	return p
}

func (in *valueReader) outcome(partition int32) Outcome {
	flags := in.byte()
	o := Outcome{Kind: Kind(flags & outcomeKind), Partition: partition}
	if flags&outcomeUUID != 0 {
		var id uuid.UUID
		copy(id[:], in.Take(len(id)))
		o.CommandID = id.String()
	} else {
		o.CommandID = string(in.Bytes())
	}
	if flags&outcomeHash != 0 {
		o.CommandHash = hex.EncodeToString(in.Take(32))
	} else {
		o.CommandHash = string(in.Bytes())
	}
	o.Version, o.Offset = in.Number(math.MaxInt64), int64(in.Number(math.MaxInt64))
	if flags&outcomeRefused != 0 {
		o.Refusal = &aggregate.Refusal{Slug: unique.Make(string(in.Bytes())).Value(), Detail: string(in.Bytes())}
		o.Refusal.Kind = in.registry.KindOf(o.Refusal.Slug)
	}
	return o
}

// appendBlock writes a full block of outcomes. Outcomes that the stream has
// forgotten may be among them.
func appendBlock(out []byte, outcomes []Outcome) []byte {
	for i := range outcomes {
		out = appendOutcome(out, &outcomes[i])
	}
	return out
}

// readBlock reads what appendBlock writes.
func readBlock(data []byte, registry *aggregate.Registry, partition int32) ([]Outcome, error) {
	in := &valueReader{varint.Reader{Rest: data}, registry}
	outcomes := make([]Outcome, blockSize)
	for i := range outcomes {
		outcomes[i] = in.outcome(partition)
	}
	return outcomes, in.end()
}

// appendEarlier writes the last commands of earlier topics commands.
func appendEarlier(out []byte, earlier []eventlog.CommandPosition) []byte {
	for _, p := range earlier {
		out = appendPosition(out, p)
	}
	return out
}

// readEarlier reads what appendEarlier writes.
func readEarlier(data []byte) ([]eventlog.CommandPosition, error) {
	in := &valueReader{Reader: varint.Reader{Rest: data}}
	var earlier []eventlog.CommandPosition
	for len(in.Rest) > 0 && !in.Failed {
		earlier = append(earlier, in.position())
	}
	return earlier, in.end()
}

// encodeDeferred writes a deferred command.
func encodeDeferred(d *deferredCommand) []byte { return EncodeBody(d) }

// readDeferred reads what encodeDeferred writes.
func readDeferred(data []byte) (d deferredCommand, err error) {
	if err := json.Unmarshal(data, &d); err != nil {
		return d, fmt.Errorf("%w: %w", errValue, err)
	}
	return d, nil
}
