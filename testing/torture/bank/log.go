package bank

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/testing/torture/history"
)

// Place is a place in a topic.
type Place = history.Place

// Violation is a broken promise.
type Violation = history.Violation

func violation(rule, format string, args ...any) Violation {
	return Violation{Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// Log is what Kafka has at the end of a run.
type Log struct {
	Partitions int32
	TopicID    string // of topic events
	// Records are all records of topic events, by partition, in order.
	Records map[int32][]eventlog.Record
	// Appended is when Kafka took a record.
	Appended map[Place]time.Time
	// Hostile are the places of late records of reactions' commands, which must not
	// count.
	Hostile map[Place]bool
	// Published are the messages of the public topics, in the order of each
	// partition; nil if the run has no public topic.
	Published map[string][]Published // by aggregate
}

// Published is a message of a public topic.
type Published struct {
	Key, ID, Type string
	Version       uint64
	Body          []byte
}

// entry is a record that counts.
type entry struct {
	*eventlog.Record
	event  aggregate.AnyEvent // nil for another outcome, and for the machine's streams
	before any                // the state before the record
}

// key names a command: an id is unique in a stream.
type key struct{ stream, id string }

// fold is the records that count.
type fold struct {
	*Log
	registry  *aggregate.Registry
	entries   []*entry // by partition and offset
	streams   map[string][]*entry
	ofCommand map[key][]*entry
	states    map[string]any
	sends     map[eventlog.Cause]send
	ignored   int // without hostile records
}

func foldLog(log *Log) (*fold, []Violation) {
	registry, err := aggregate.NewRegistry(accounts.Aggregate, transfers.Aggregate)
	if err != nil {
		panic(err) // the bank's own test says so too
	}
	f := &fold{
		Log: log, registry: registry, streams: map[string][]*entry{}, ofCommand: map[key][]*entry{},
		states: map[string]any{}, sends: map[eventlog.Cause]send{},
	}
	var wrong []Violation
	heads := map[string]eventlog.Head{}
	for partition := range log.Partitions {
		for i := range log.Records[partition] {
			r := &log.Records[partition][i]
			if r.Malformed != nil || r.Unreadable != nil {
				wrong = append(wrong, violation("record unreadable", "partition %d, offset %d: %v %v", r.Partition, r.Offset, r.Malformed, r.Unreadable))
				continue
			}
			hostile := log.Hostile[Place{Partition: r.Partition, Offset: r.Offset}]
			head, accepted := heads[r.Stream].Accept(r)
			switch {
			case hostile && !accepted:
				continue
			case hostile:
				wrong = append(wrong, violation("a late record counts", "partition %d, offset %d", r.Partition, r.Offset))
			case !accepted:
				f.ignored++
				continue
			}
			heads[r.Stream] = head
			if err := f.add(r); err != nil {
				wrong = append(wrong, violation("record unreadable", "partition %d, offset %d: %v", r.Partition, r.Offset, err))
			}
		}
	}
	return f, wrong
}

func (f *fold) add(r *eventlog.Record) (err error) {
	e := &entry{Record: r, before: f.states[r.Stream]}
	if of, _ := f.registry.OfStream(r.Stream); of != nil && eventlog.IsEvent(r.Type) {
		if e.event, err = f.registry.DecodeEvent(r.Stream, r.Type, r.Body); err != nil {
			return err
		}
		f.states[r.Stream] = of.Apply(e.before, e.event)
	}
	f.entries = append(f.entries, e)
	f.streams[r.Stream] = append(f.streams[r.Stream], e)
	k := key{r.Stream, r.CommandID}
	f.ofCommand[k] = append(f.ofCommand[k], e)
	return nil
}

// waits says whether a command goes on after the record.
func (e *entry) waits() bool {
	switch e.Type {
	case eventlog.TypeCommandScheduled, eventlog.TypeCommandClaiming, eventlog.TypeCommandParked, eventlog.TypeCommandQueued:
		return true
	default:
		return false
	}
}

// ends are the records with which a command ended: one, if all is well.
func (f *fold) ends(k key) (ends []*entry) {
	for _, e := range f.ofCommand[k] {
		if !e.waits() {
			ends = append(ends, e)
		}
	}
	return ends
}

// slug is the rule that refused the command, "" for another outcome.
func (e *entry) slug() string {
	var body struct {
		Problem string `json:"problem"`
	}
	if e.Type != eventlog.TypeCommandRefused {
		return ""
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return "unreadable"
	}
	return body.Problem
}

func (e *entry) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s %s of %s at %d/%d", e.Type, e.slug(), e.Stream, e.Partition, e.Offset))
}

// account is the state of an account at the end.
func (f *fold) account(stream string) accounts.Account {
	a, _ := f.states[stream].(accounts.Account)
	return a
}

// transfer is the state of a transfer at the end.
func (f *fold) transfer(stream string) transfers.Transfer {
	t, _ := f.states[stream].(transfers.Transfer)
	return t
}

// of are the streams of an aggregate, sorted.
func (f *fold) of(t *aggregate.Type) (streams []string) {
	for stream := range f.streams {
		if strings.HasPrefix(stream, t.Name()+"/") {
			streams = append(streams, stream)
		}
	}
	slices.Sort(streams)
	return streams
}
