package decider

import (
	"errors"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// balloon is the state of an aggregate whose outcomes are as long as a test
// wants.
type balloon struct{}

type inflate struct {
	ID  string `json:"id"`
	Pad string `json:"pad"` // makes the command long
}

type inflated struct {
	ID  string `json:"id"`
	Air string `json:"air"`
}

var inflateTo func() (aggregate.Event[balloon], error)

func (inflate) Type() string                                     { return "inflate" }
func (c inflate) AggregateID() string                            { return c.ID }
func (inflate) Decide(balloon) (aggregate.Event[balloon], error) { return inflateTo() }
func (inflated) Type() string                                    { return "inflated" }
func (e inflated) AggregateID() string                           { return e.ID }
func (inflated) Apply(balloon) balloon                           { return balloon{} }

// sizeOf is the size of a record in Kafka, with a few bytes more for each part.
func sizeOf(r *eventlog.Record) int {
	size := 100 + len(r.Stream) + len(r.Body)
	for _, h := range r.Headers() {
		size += 10 + len(h.Key) + len(h.Value)
	}
	return size
}

// The outcome of the largest command fits topic events, whatever the aggregate
// does.
func TestOutcomesFitTheLog(t *testing.T) {
	registry, err := aggregate.NewRegistry(aggregate.Of(aggregate.Definition[balloon]{
		Name: "balloon", Plural: "balloons", Refusals: []*aggregate.Refusal{{Slug: "no", Detail: "no"}},
		Commands: []func() aggregate.Command[balloon]{func() aggregate.Command[balloon] { return new(inflate) }},
		Events:   []func() aggregate.Event[balloon]{func() aggregate.Event[balloon] { return new(inflated) }},
	}))
	if err != nil {
		t.Fatal(err)
	}
	// All headers of the greatest length, and a body of it.
	head := strings.Repeat("h", 4<<10)
	raw := eventlog.RawMessage{Key: "balloon/1", Headers: []eventlog.Header{
		{Key: eventlog.HeaderCommandHash, Value: head}, {Key: eventlog.HeaderCommandID, Value: head}, {Key: eventlog.HeaderSource, Value: eventlog.Source},
		{Key: eventlog.HeaderSpecVersion, Value: "1.0"}, {Key: eventlog.HeaderSubject, Value: "balloon/1"},
		{Key: eventlog.HeaderTime, Value: "2026-01-02T03:04:05.000Z"}, {Key: eventlog.HeaderType, Value: "inflate"},
		{Key: eventlog.HeaderTraceParent, Value: head},
	}}
	raw.Partition = eventlog.PartitionOf(raw.Key, 12)
	empty := len(EncodeBody(inflate{ID: "1"}))
	body := func(size int) []byte { return EncodeBody(inflate{"1", strings.Repeat("p", size-empty)}) }
	raw.Body = body(768 << 10)
	envelope, err := eventlog.DecodeEnvelope(raw, 12)
	if err != nil {
		t.Fatal(err)
	}

	long := strings.Repeat("\x01\xff", 2<<20) // each byte is written as six
	for name, test := range map[string]struct {
		decide func() (aggregate.Event[balloon], error)
		want   string
	}{
		"small event":    {func() (aggregate.Event[balloon], error) { return inflated{"1", "a"}, nil }, "inflated"},
		"large event":    {func() (aggregate.Event[balloon], error) { return inflated{"1", strings.Repeat("a", 900_000)}, nil }, "inflated"},
		"too large":      {func() (aggregate.Event[balloon], error) { return inflated{"1", strings.Repeat("a", 950_000)}, nil }, eventlog.TypeCommandParked},
		"long refusal":   {func() (aggregate.Event[balloon], error) { return nil, &aggregate.Refusal{Slug: "no", Detail: long} }, eventlog.TypeCommandRefused},
		"long error":     {func() (aggregate.Event[balloon], error) { return nil, errors.New(long) }, eventlog.TypeCommandParked},
		"panic":          {func() (aggregate.Event[balloon], error) { panic(long) }, eventlog.TypeCommandParked},
		"nothing to say": {func() (aggregate.Event[balloon], error) { return nil, nil }, eventlog.TypeCommandUnchanged},
	} {
		inflateTo = test.decide
		s := new(stream)
		r := decide(registry, s, &envelope, inflate{ID: "1"}, eventlog.CommandPosition{TopicID: "topic", Offset: 1})
		r.Trace = envelope.Trace
		if size := sizeOf(&r); r.Type != test.want || size > eventlog.MaxMessage || len(r.Body) > eventlog.MaxRecordBody {
			t.Errorf("%s: %s of %d bytes, %d in the body", name, r.Type, size, len(r.Body))
		}
		if !s.fold(registry, &r, 10) || s.unreadable != nil {
			t.Errorf("%s: can't be folded: %v", name, s.unreadable)
		}
	}
	// A worse parked command than any: each text of the greatest length.
	worst := EncodeBody(deferredBodyOf(&eventlog.Envelope{Type: strings.Repeat("\x01", 4<<10), Body: raw.Body}, long, strings.Repeat("\x01", 1<<20)))
	if len(worst) > eventlog.MaxRecordBody {
		t.Errorf("%d bytes", len(worst))
	}

	// One byte more is no command.
	tooLong := raw
	tooLong.Body = body(768<<10 + 1)
	if _, err := eventlog.DecodeEnvelope(tooLong, 12); err == nil || !strings.Contains(err.Error(), "786433 bytes: a command has at most 786432") {
		t.Error(err)
	}
	for i, h := range raw.Headers {
		if h.Value != head {
			continue
		}
		tooLong := raw
		tooLong.Headers = append([]eventlog.Header(nil), raw.Headers...)
		tooLong.Headers[i].Value += "h"
		if _, err := eventlog.DecodeEnvelope(tooLong, 12); err == nil {
			t.Errorf("%s of %d bytes", h.Key, len(head)+1)
		}
	}
}
