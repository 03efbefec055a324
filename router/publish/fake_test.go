package publish

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

const eventsID = "AAAAAAAAAAAAAAAAAAAAAA"

// A list with an event of an earlier release.
type (
	list struct{}

	listMade struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
)

func (listMade) Type() string          { return "listMade" }
func (e listMade) AggregateID() string { return e.ID }
func (listMade) Apply(l list) list     { return l }

type makeList struct {
	ID string `json:"id"`
}

func (makeList) Type() string          { return "makeList" }
func (c makeList) AggregateID() string { return c.ID }
func (c makeList) Decide(list) (aggregate.Event[list], error) {
	return listMade{ID: c.ID}, nil
}

func lists(t *testing.T) Topic {
	t.Helper()
	registered, err := aggregate.NewRegistry(aggregate.Of(aggregate.Definition[list]{
		Name: "list", Plural: "lists",
		Commands: []func() aggregate.Command[list]{func() aggregate.Command[list] { return new(makeList) }},
		Events:   []func() aggregate.Event[list]{func() aggregate.Event[list] { return new(listMade) }},
		Upcasts: []aggregate.Upcast{{From: "listBegun", To: "listMade", Body: func(old []byte) ([]byte, error) {
			if !strings.HasPrefix(string(old), "{") {
				return nil, errors.New("no object")
			}
			return []byte(strings.Replace(string(old), `"title"`, `"name"`, 1)), nil
		}}},
	}))
	if err != nil {
		t.Fatal(err)
	}
	return Topic{Name: "lists", Aggregate: registered.Type("list")}
}

// fakeLog is topic events with one partition.
type fakeLog struct {
	mu      sync.Mutex
	grown   chan struct{}
	records []eventlog.Record
	heads   map[string]eventlog.Head
	counts  []bool // by offset
}

func newFakeLog() *fakeLog {
	return &fakeLog{grown: make(chan struct{}), heads: map[string]eventlog.Head{}}
}

// add appends a record of a stream that counts.
func (l *fakeLog) add(stream, recordType, body string) {
	l.mu.Lock()
	head := l.heads[stream]
	l.mu.Unlock()
	r := eventlog.Record{
		Type: recordType, Stream: stream, Seq: head.Seq + 1, Prev: head.Digest, Version: head.Version, CommandID: fmt.Sprint("c", head.Seq),
		Body: []byte(body),
	}
	if eventlog.IsEvent(recordType) {
		r.Version++
	}
	r.Seal()
	l.append(r)
}

// append appends any record.
func (l *fakeLog) append(r eventlog.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Offset = int64(len(l.records))
	head, counts := l.heads[r.Stream].Accept(&r)
	if counts {
		l.heads[r.Stream] = head
	}
	l.records, l.counts = append(l.records, r), append(l.counts, counts)
	close(l.grown)
	l.grown = make(chan struct{})
}

func (l *fakeLog) End(context.Context, int32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.records)), nil
}

func (l *fakeLog) At(_ context.Context, _ int32, offset int64) (eventlog.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[offset], nil
}

func (l *fakeLog) Follow(ctx context.Context, _ int32, from int64, fn func([]eventlog.Record) error) error {
	for ctx.Err() == nil {
		l.mu.Lock()
		batch, grown := slices.Clone(l.records[from:]), l.grown
		l.mu.Unlock()
		if len(batch) > 0 {
			batch = batch[:min(len(batch), 10)]
			if err := fn(batch); err != nil {
				return err
			}
			from = batch[len(batch)-1].Offset + 1
			continue
		}
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
	return context.Cause(ctx)
}

// Counting and LastEvent are of a state store that has folded all.
func (l *fakeLog) Counting(_ context.Context, records []eventlog.Record) (counting []eventlog.Record, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range records {
		if l.counts[records[i].Offset] {
			counting = append(counting, records[i])
		}
	}
	return counting, nil
}

func (l *fakeLog) LastEvent(_ int32, of string) (last, folded int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last = -1
	for i := range l.records {
		if r := &l.records[i]; l.counts[i] && eventlog.IsEvent(r.Type) && strings.HasPrefix(r.Stream, of+"/") {
			last = r.Offset
		}
	}
	return last, int64(len(l.records))
}

// events are the events that count of streams of an aggregate.
func (l *fakeLog) events(of string) (events []eventlog.Record) {
	for i := range l.records {
		if r := &l.records[i]; l.counts[i] && eventlog.IsEvent(r.Type) && strings.HasPrefix(r.Stream, of+"/") {
			events = append(events, *r)
		}
	}
	return events
}

// fakeKafka is a public topic with one partition. The function fate decides about
// each send.
type fakeKafka struct {
	mu       sync.Mutex
	messages []*message.Message
	late     []*message.Message // that land later
	fate     func() fate
	luck     *rand.Rand
	newest   int // messages that Newest has read
	ensured  int
}

type fate int

const (
	lands   fate = iota
	fails        // nothing is written, and the publisher hears of an error
	ackLost      // the message is written, and the publisher hears of an error
	isLate       // the publisher hears of an error, and the message is written later
)

func newFakeKafka() *fakeKafka {
	return &fakeKafka{fate: func() fate { return lands }, luck: rand.New(rand.NewPCG(1, 1))}
}

func (k *fakeKafka) Ensure(context.Context, string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ensured++
	return nil
}

func (k *fakeKafka) Publish(_ string, msgs ...*message.Message) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, msg := range msgs {
		k.landLate()
		switch f := k.fate(); f {
		case lands, ackLost:
			if k.messages = append(k.messages, msg); f == lands {
				continue
			}
		case isLate:
			k.late = append(k.late, msg)
		}
		return errors.New("no ack")
	}
	return nil
}

// landLate lets some late messages land.
func (k *fakeKafka) landLate() {
	for len(k.late) > 0 && k.luck.IntN(2) == 0 {
		i := k.luck.IntN(len(k.late))
		k.messages = append(k.messages, k.late[i])
		k.late = slices.Delete(k.late, i, i+1)
	}
}

func (k *fakeKafka) Newest(_ context.Context, _ string, _ int32, fn func(eventlog.RawMessage) bool) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.landLate()
	for _, msg := range slices.Backward(k.messages) {
		var raw eventlog.RawMessage
		for key, value := range msg.Metadata {
			raw.Headers = append(raw.Headers, eventlog.Header{Key: key, Value: value})
		}
		if k.newest++; fn(raw) {
			return nil
		}
	}
	return nil
}

// ids are the ids of all messages.
func (k *fakeKafka) ids() (ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, msg := range k.messages {
		ids = append(ids, msg.UUID)
	}
	return ids
}
