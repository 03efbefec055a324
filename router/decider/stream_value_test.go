package decider

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/eventlog"
)

var update = flag.Bool("update", false, "write golden files")

const (
	aTopic = "AZGx0pPkd1ypmRZ8W2xgSQ"
	aHash  = "5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8f"
)

func aUUID(n int) string { return fmt.Sprintf("0190a1b2-c3d4-7000-8000-%012x", n) }

// goldenStreams are streams with all parts that a value may have.
func goldenStreams() map[string]*stream {
	usual := &stream{
		head:    eventlog.Head{Seq: 2, Version: 2, Digest: eventlog.Digest{1, 2, 3}},
		state:   users.User{Name: "Ann", Status: users.Active},
		decided: eventlog.CommandPosition{TopicID: aTopic, Offset: 300},
	}
	usual.outcomes.add(Outcome{CommandID: aUUID(1), CommandHash: aHash, Kind: Succeeded, Version: 1, Partition: 3, Offset: 70_000})
	usual.outcomes.add(Outcome{CommandID: "my-own-id", CommandHash: "other", Kind: Refused, Version: 1, Partition: 3, Offset: 70_001, Refusal: users.ErrExists})
	many := &stream{head: eventlog.Head{Seq: 40, Version: 30}, decided: eventlog.CommandPosition{TopicID: "topic", Offset: 1}}
	for i := range 40 {
		many.outcomes.add(Outcome{CommandID: aUUID(i), CommandHash: aHash, Kind: Succeeded, Version: uint64(i), Partition: 3, Offset: int64(i)})
		many.outcomes.keep(30)
	}
	parked := &stream{
		head: eventlog.Head{Seq: 3, Version: 1}, parked: true, deferredEnd: 7,
		deferred:   newDeferredQueue(make([]deferredCommand, 2)),
		seldom:     &seldom{decidedBefore: []eventlog.CommandPosition{{TopicID: "earlier", Offset: 1}}},
		unreadable: fmt.Errorf("record 3: %w", aggregate.ErrUnknownEvent),
	}
	fenced := &stream{head: eventlog.Head{Seq: 2, Version: 2}}
	for offset := range int64(2) {
		fenced.fences = fenced.fences.Fold(&eventlog.Origin{
			Reaction: "greeter", Cause: eventlog.Cause{TopicID: aTopic, Partition: 3, Offset: 300 + offset, N: 2}, Subject: "user/a", Open: []string{"user/b"},
		})
	}
	return map[string]*stream{"usual": usual, "many": many, "parked": parked, "fenced": fenced, "empty": {}}
}

// The bytes on disk change with storeFormat only.
func TestGoldenValues(t *testing.T) {
	streams := goldenStreams()
	var out strings.Builder
	for _, name := range []string{"usual", "many", "parked", "fenced", "empty"} {
		value, err := appendStream(nil, registry, "user/u", streams[name])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%s\n%s", name, hex.Dump(value))
	}
	fmt.Fprintf(&out, "block\n%s", hex.Dump(appendBlock(nil, streams["many"].outcomes.blocks[0].outcomes)))
	fmt.Fprintf(&out, "earlier\n%s", hex.Dump(appendEarlier(nil, []eventlog.CommandPosition{{TopicID: aTopic, Offset: 5}, {TopicID: "x", Offset: 6}})))
	fmt.Fprintf(&out, "deferred\n%s\n", encodeDeferred(&deferredCommand{
		Envelope: eventlog.Envelope{Partition: 3, ID: "c", Type: "renameUser", Stream: "user/u", Time: time.UnixMilli(5).UTC(), Hash: aHash, Body: []byte(`{"id":"u"}`)},
		At:       eventlog.CommandPosition{TopicID: aTopic, Offset: 9}, Reason: "why", Stack: "stack", Dropped: true,
	}))
	fmt.Fprintf(&out, "stream key\n%s", hex.Dump(keys.OfStream(nil, 3, keys.Stream, "user/u")))
	fmt.Fprintf(&out, "outcomes key\n%s", hex.Dump(keys.Numbered(nil, 3, keys.Outcomes, "user/u", 2)))
	const file = "testdata/values.golden"
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out.String()); diff != "" {
		t.Errorf("another form needs another storeFormat; then -update writes the file (-want +got):\n%s", diff)
	}
}

func TestValuesRoundTrip(t *testing.T) {
	for name, s := range goldenStreams() {
		value, err := appendStream(nil, registry, "user/u", s)
		if err != nil {
			t.Fatal(err)
		}
		h, err := readStream(value, registry, "user/u", 3)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := h.stream
		if h.earlier != (len(s.decidedBefore()) > 0) || int(h.deferred) != s.deferred.len() || got.deferredEnd != s.deferredEnd || got.parked != s.parked {
			t.Errorf("%s: %+v", name, h)
		}
		if errors.Is(got.unreadable, aggregate.ErrUnknownEvent) != errors.Is(s.unreadable, aggregate.ErrUnknownEvent) || fmt.Sprint(got.unreadable) != fmt.Sprint(s.unreadable) {
			t.Errorf("%s: stopped by %v, not %v", name, got.unreadable, s.unreadable)
		}
		if diff := cmp.Diff([]any{s.head, s.state, s.decided, s.fences}, []any{got.head, got.state, got.decided, got.fences}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for n := s.outcomes.from; n < s.outcomes.to; n++ {
			id := s.outcomes.at(n).CommandID
			at, found, missing := got.outcomes.find(id)
			switch {
			case n >= s.outcomes.behindBlocks():
				if diff := cmp.Diff(s.outcomes.at(n), got.outcomes.at(at)); !found || diff != "" {
					t.Errorf("%s: outcome %d is found: %t (-want +got):\n%s", name, n, found, diff)
				}
			case missing == nil || *missing != n/blockSize:
				t.Errorf("%s: outcome %d is not looked for in block %d", name, n, n/blockSize)
			}
		}
		if _, found, missing := got.outcomes.find("nobody's"); found || missing != nil {
			t.Errorf("%s: an id that nobody has had is looked for on disk", name)
		}
	}
}

// A user with one outcome is at most 250 bytes on disk, with the key, and 128
// outcomes are at most 9,000 bytes: docs/operating.md tells so.
func TestSizeOnDisk(t *testing.T) {
	size := func(outcomes int) int {
		name := "user/" + aUUID(0)
		s := &stream{head: eventlog.Head{Seq: uint64(outcomes), Version: uint64(outcomes)}, state: users.User{Name: "Ann Marie Smith", Status: users.Active}, decided: eventlog.CommandPosition{TopicID: aTopic, Offset: 1 << 30}}
		for i := range outcomes {
			s.outcomes.add(Outcome{CommandID: aUUID(i), CommandHash: aHash, Kind: Succeeded, Version: uint64(i), Offset: 1<<30 + int64(i)})
		}
		var b batch
		c := &cut{processor: newProcessor(registry, 128, nil), streams: []frozenStream{{cached: &cachedStream{name: name}, stream: s}}}
		if err := b.add(c); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range b.changes[:len(b.changes)-1] { // without the offset
			n += len(c.key) + len(c.value) + 8 // and Pebble's 8 bytes a key
		}
		return n
	}
	one, many := size(1), size(128)
	t.Logf("%d bytes with one outcome, %d with 128", one, many)
	if one > 250 || many > 9000 {
		t.Errorf("%d bytes with one outcome, %d with 128", one, many)
	}
}

func FuzzReadStream(f *testing.F) {
	for _, s := range goldenStreams() {
		value, err := appendStream(nil, registry, "user/u", s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, value []byte) {
		_, _ = readBlock(value, registry, 3)
		_, _ = readEarlier(value)
		_, _ = readDeferred(value)
		h, err := readStream(value, registry, "user/u", 3)
		if err != nil {
			return
		}
		if h.deferred > 100 || h.earlier {
			return
		}
		h.stream.deferred = newDeferredQueue(make([]deferredCommand, h.deferred))
		again, err := appendStream(nil, registry, "user/u", h.stream)
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		twice, err := readStream(again, registry, "user/u", 3)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		twice.stream.deferred = h.stream.deferred
		if last, _ := appendStream(nil, registry, "user/u", twice.stream); !bytes.Equal(again, last) {
			t.Errorf("%x is written as %x, and then as %x", value, again, last)
		}
	})
}
