package decider

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// snapshotFormat names the layout of a snapshot, and the rules of the fold: a
// snapshot replaces a fold. A change of [stream.fold] needs another number here.
// Snapshots of other formats are ignored.
const snapshotFormat = "millrace state 4\n"

// snapshot is one partition of the state store, at an offset of the log.
type snapshot struct {
	// EventsID is the id of topic events, and Partitions the number of the
	// topic's partitions: a snapshot belongs to one log.
	EventsID string
	// Fold is the version of the aggregates' own fold
	// ([aggregate.Registry.FoldVersion]).
	Fold       string
	Partitions int32
	Partition  int32
	// Next is the offset of the first record behind the snapshot, and Last the
	// digest of the record before: a log that lost its tail has another record
	// there.
	Next int64
	Last eventlog.Digest
	// Remember is how many outcomes each stream could keep.
	Remember int
	streams  map[string]*stream
}

var errSnapshot = errors.New("not a snapshot that this binary reads")

// encode writes the format, the fields, the streams, and a SHA-256 of all these
// bytes. Numbers are unsigned varints, and a text has its length in front.
func (s *snapshot) encode(registry *aggregate.Registry) ([]byte, error) {
	out := []byte(snapshotFormat)
	out = appendText(appendText(out, s.EventsID), s.Fold)
	for _, n := range []uint64{uint64(s.Partitions), uint64(s.Partition), uint64(s.Next), uint64(s.Remember), uint64(len(s.streams))} {
		out = binary.AppendUvarint(out, n)
	}
	out = append(out, s.Last[:]...)
	for name, st := range s.streams {
		if st.unreadable != nil {
			return nil, fmt.Errorf("stream %q can't be read", name) // a newer binary must fold the stream
		}
		var state []byte
		if t, _ := registry.OfStream(name); t != nil {
			var err error
			if state, err = t.EncodeState(st.state); err != nil {
				return nil, fmt.Errorf("stream %q: %w", name, err)
			}
		}
		out = appendStream(appendText(out, name), st, state)
	}
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

func appendText(out []byte, text string) []byte {
	return append(binary.AppendUvarint(out, uint64(len(text))), text...)
}

func appendStream(out []byte, st *stream, state []byte) []byte {
	out = binary.AppendUvarint(out, st.head.Seq)
	out = binary.AppendUvarint(out, st.head.Version)
	out = append(out, st.head.Digest[:]...)
	out = appendText(out, string(state))
	out = appendPosition(out, st.decided)
	out = binary.AppendUvarint(out, uint64(len(st.decidedBefore)))
	for _, p := range st.decidedBefore {
		out = appendPosition(out, p)
	}
	deferred := []byte{}
	if st.deferred != nil {
		deferred = EncodeBody(st.deferred.all()) // few streams have any
	}
	out = appendText(out, string(deferred))
	out = append(out, flag(st.parked))
	out = binary.AppendUvarint(out, uint64(len(st.outcomes)))
	for i := range st.outcomes {
		out = appendOutcome(out, &st.outcomes[i])
	}
	return out
}

func appendPosition(out []byte, p eventlog.CommandPosition) []byte {
	return binary.AppendUvarint(appendText(out, p.TopicID), uint64(p.Offset))
}

func appendOutcome(out []byte, o *Outcome) []byte {
	out = appendText(out, o.CommandID)
	out = appendText(out, o.CommandHash)
	out = append(out, byte(o.Kind), flag(o.Refusal != nil))
	out = binary.AppendUvarint(out, o.Version)
	out = binary.AppendUvarint(out, uint64(o.Offset))
	if o.Refusal != nil {
		out = appendText(out, o.Refusal.Slug)
		out = appendText(out, o.Refusal.Detail)
	}
	return out
}

func flag(set bool) byte {
	if set {
		return 1
	}
	return 0
}

// decodeSnapshot reads a snapshot that encode wrote. Other data are errSnapshot.
// The streams are nil if the version of the aggregates' fold is another.
func decodeSnapshot(registry *aggregate.Registry, data []byte) (*snapshot, error) {
	body := len(data) - sha256.Size
	if body < len(snapshotFormat) || !bytes.HasPrefix(data, []byte(snapshotFormat)) {
		return nil, fmt.Errorf("%w: another format", errSnapshot)
	}
	if sum := sha256.Sum256(data[:body]); !bytes.Equal(sum[:], data[body:]) {
		return nil, fmt.Errorf("%w: wrong checksum", errSnapshot)
	}
	in := &snapshotReader{rest: data[len(snapshotFormat):body], text: map[string]string{}, registry: registry}
	s := &snapshot{EventsID: in.shared(), Fold: in.shared()}
	s.Partitions, s.Partition = int32(in.number(math.MaxInt32)), int32(in.number(math.MaxInt32))
	s.Next, s.Remember = int64(in.number(math.MaxInt64)), int(in.number(math.MaxInt32))
	count := in.number(uint64(len(in.rest)))
	copy(s.Last[:], in.take(len(s.Last)))
	if s.Fold != registry.FoldVersion() {
		return s, nil // the states may be of other types
	}
	s.streams = make(map[string]*stream, count)
	for range count {
		name := string(in.take(int(in.number(math.MaxInt32))))
		s.streams[name] = in.stream(name, s.Partition)
		if in.failed {
			break
		}
	}
	if in.failed || len(in.rest) > 0 || len(s.streams) != int(count) {
		return nil, fmt.Errorf("%w: the fields don't fit the data", errSnapshot)
	}
	return s, nil
}

// snapshotReader takes values off the front of the data. After the first value
// that doesn't fit, all values are zero.
type snapshotReader struct {
	rest   []byte
	failed bool
	text   map[string]string // texts that many streams share

	registry *aggregate.Registry
}

func (in *snapshotReader) take(n int) []byte {
	if in.failed || n < 0 || n > len(in.rest) {
		in.failed = true
		return nil
	}
	taken := in.rest[:n]
	in.rest = in.rest[n:]
	return taken
}

func (in *snapshotReader) number(most uint64) uint64 {
	n, length := binary.Uvarint(in.rest)
	if in.failed || length <= 0 || n > most {
		in.failed = true
		return 0
	}
	in.rest = in.rest[length:]
	return n
}

func (in *snapshotReader) bytes() []byte { return in.take(int(in.number(math.MaxInt32))) }

func (in *snapshotReader) byte() byte {
	if b := in.take(1); b != nil {
		return b[0]
	}
	return 0
}

// shared reads a text that many streams have, and keeps the text once.
func (in *snapshotReader) shared() string {
	raw := in.bytes()
	if text, ok := in.text[string(raw)]; ok {
		return text
	}
	text := string(raw)
	in.text[text] = text
	return text
}

func (in *snapshotReader) stream(name string, partition int32) *stream {
	st := new(stream)
	st.head.Seq, st.head.Version = in.number(math.MaxInt64), in.number(math.MaxInt64)
	copy(st.head.Digest[:], in.take(len(st.head.Digest)))
	if body := in.bytes(); len(body) > 0 {
		t, _ := in.registry.OfStream(name)
		if t == nil {
			in.failed = true
			return st
		}
		var err error
		if st.state, err = t.DecodeState(body); err != nil {
			in.failed = true
			return st
		}
	}
	st.decided = in.position()
	for range in.number(uint64(len(in.rest))) {
		st.decidedBefore = append(st.decidedBefore, in.position())
	}
	var waiting []deferredCommand
	if deferred := in.bytes(); len(deferred) > 0 && json.Unmarshal(deferred, &waiting) != nil {
		in.failed = true
	}
	st.deferred = newDeferredQueue(waiting)
	st.parked = in.byte() == 1
	count := in.number(uint64(len(in.rest)))
	st.outcomes = make([]Outcome, 0, min(count, 64))
	for range count {
		if in.failed {
			break
		}
		st.outcomes = append(st.outcomes, in.outcome(partition))
	}
	return st
}

func (in *snapshotReader) position() eventlog.CommandPosition {
	return eventlog.CommandPosition{TopicID: in.shared(), Offset: int64(in.number(math.MaxInt64))}
}

func (in *snapshotReader) outcome(partition int32) Outcome {
	o := Outcome{CommandID: string(in.bytes()), CommandHash: string(in.bytes()), Kind: Kind(in.byte()), Partition: partition}
	refused := in.byte() == 1
	o.Version, o.Offset = in.number(math.MaxInt64), int64(in.number(math.MaxInt64))
	if refused {
		o.Refusal = &aggregate.Refusal{Slug: in.shared(), Detail: in.shared()}
		o.Refusal.Kind = in.registry.KindOf(o.Refusal.Slug)
	}
	return o
}
