package hostile

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
)

const partitions = 4

func generate(seed uint64) (all []*kgo.Record) {
	g := New(seed, partitions, func(*rand.Rand) string { return "u1" })
	for range 2000 {
		all = append(all, g.Next().Records...)
	}
	return append(all, g.Last().Records...)
}

// raw is a record as the readers of topics see the record.
func raw(r *kgo.Record) eventlog.RawMessage {
	m := eventlog.RawMessage{Partition: r.Partition, Key: string(r.Key), Body: r.Value}
	m.Headers, m.Malformed = eventlog.ReadHeaders(nil, r.Headers, func(h kgo.RecordHeader) ([]byte, []byte) { return []byte(h.Key), h.Value }, m.Key)
	return m
}

// Every kind comes up, and only records of hostile streams can be decided, wait
// or count.
func TestFates(t *testing.T) {
	t.Parallel()
	count := map[Fate]int{}
	for _, r := range generate(1) {
		fate, kind := Mark(r)
		count[fate]++
		switch {
		case fate == Any:
		case r.Topic == eventlog.TopicEvents:
			record := eventlog.DecodeRecord(raw(r), partitions)
			if _, accepted := (eventlog.Head{}).Accept(&record); accepted != (fate == Counting) || accepted && !IsStream(record.Stream) {
				t.Errorf("%s: accepted %t, of %s", kind, accepted, record.Stream)
			}
		default:
			envelope, err := eventlog.DecodeEnvelope(raw(r), partitions)
			if fate == Decided || fate == Waiting {
				known := envelope.Type == "renameUser"
				if err != nil || !IsStream(envelope.Stream) || known != (fate == Decided) {
					t.Errorf("%s: %+v, %v", kind, envelope, err)
				}
			}
		}
	}
	for _, fate := range []Fate{Dead, Waiting, Decided, Skipped, Ignored, Counting, Any} {
		if count[fate] == 0 {
			t.Errorf("no record is %s", fate)
		}
	}
	if count[Waiting] > maxStrange || count[Counting] > maxUnknownEvents {
		t.Errorf("%v", count)
	}
}

func TestASeedRepeats(t *testing.T) {
	t.Parallel()
	a, b := generate(7), generate(7)
	for i := range a {
		if a[i].Topic != b[i].Topic || a[i].Partition != b[i].Partition || !bytes.Equal(a[i].Key, b[i].Key) || len(a[i].Value) != len(b[i].Value) {
			t.Fatalf("record %d is %v, and %v", i, a[i], b[i])
		}
	}
}

func TestIsStream(t *testing.T) {
	t.Parallel()
	for stream, want := range map[string]bool{"user/hostile-1": true, "hostile-1": true, "order/hostile-1": true, "user/u1": false, "u1": false, "": false} {
		if IsStream(stream) != want {
			t.Errorf("%q: %t", stream, !want)
		}
	}
}

// A late record can be read, is of a later cause, and doesn't count behind the
// record that counts.
func TestLate(t *testing.T) {
	t.Parallel()
	g := New(1, partitions, nil)
	counts := eventlog.Record{
		Stream: "account/a", Type: "moneyDeposited", Seq: 1, Version: 1, Body: []byte(`{}`), CommandID: "@r:t:0:5:1", CommandPosition: eventlog.CommandPosition{TopicID: "c"},
		Origin: &eventlog.Origin{Reaction: "r", Cause: eventlog.Cause{TopicID: "t", Offset: 5, N: 1}, Subject: "transfer/t", Depth: 1},
	}
	counts.Seal()
	head, ok := (eventlog.Head{}).Accept(&counts)
	if !ok {
		t.Fatal("the record doesn't count")
	}
	for range 10 {
		r := eventlog.DecodeRecord(raw(g.Late(&counts)), partitions)
		if r.Malformed != nil || r.Unreadable != nil || r.Origin.Cause.Compare(counts.Origin.Cause) <= 0 || r.Stream != counts.Stream {
			t.Errorf("got %+v, %v %v", r, r.Malformed, r.Unreadable)
		}
		if _, ok := head.Accept(&r); ok {
			t.Error("the late record counts")
		}
	}
}
