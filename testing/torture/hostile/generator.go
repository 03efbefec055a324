// Package hostile makes records that no gateway and no command service writes,
// for topics commands and events, and knows the right end of each record. Other
// programs, older tools, and mistakes of operators write such records.
package hostile

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
)

// Fate is the right end of a hostile record.
type Fate string

const (
	// Dead records of topic commands go to the dead letters.
	Dead Fate = "dead"
	// Waiting records of topic commands are queued for another binary.
	Waiting Fate = "waiting"
	// Decided records of topic commands are commands of a hostile stream, with
	// an outcome like all commands.
	Decided Fate = "decided"
	// Skipped records of topic commands are fillers.
	Skipped Fate = "skipped"
	// Ignored records of topic events don't count.
	Ignored Fate = "ignored"
	// Counting records of topic events count, in a stream of their own, and no
	// binary can read the event.
	Counting Fate = "counting"
	// Any fate will do for a record of an aborted transaction.
	Any Fate = "any"
)

// HeaderMark is the header of every hostile record. The value is the fate, a
// slash, and the kind. Millrace takes no notice of the header.
const HeaderMark = "torture-hostile"

// Mark returns fate and kind of a record with [HeaderMark]; no fate for other
// records.
func Mark(r *kgo.Record) (fate Fate, kind string) {
	for _, h := range r.Headers {
		if h.Key == HeaderMark {
			text, kind, _ := strings.Cut(string(h.Value), "/")
			return Fate(text), kind
		}
	}
	return "", ""
}

const (
	name = "hostile-"
	// strangers is the number of streams with commands of unknown types.
	strangers = 6
	// maxStrange bounds the commands of unknown types: somebody drops them at
	// the end, one by one.
	maxStrange = 8
	// maxUnknownEvents bounds the events of unknown types.
	maxUnknownEvents = 2
	// maxHuge bounds the huge records of a topic.
	maxHuge = 3
	// hugeBytes is the least size of a huge record, before compression.
	hugeBytes = 2 << 20
)

// IsStream says whether a stream, or the id of a user, is a hostile stream.
func IsStream(stream string) bool {
	return strings.HasPrefix(strings.TrimPrefix(stream, users.Aggregate.Stream("")), name) || strings.Contains(stream, "/"+name)
}

// Batch is some records to write together.
type Batch struct {
	Records     []*kgo.Record
	Transaction bool // with a marker behind the records
	Abort       bool // the transaction is aborted
}

// Generator makes hostile records. A seed always makes the same records of the
// same users.
type Generator struct {
	Partitions int32
	// Victim returns the id of a user of the traffic. Hostile records of such a
	// stream always end as dead letters, or don't count.
	Victim func(*rand.Rand) string

	rng   *rand.Rand
	made  int
	count map[string]int // of the kinds with a bound
}

// New returns a generator.
func New(seed uint64, partitions int32, victim func(*rand.Rand) string) *Generator {
	return &Generator{Partitions: partitions, Victim: victim, rng: rand.New(rand.NewPCG(seed, 4000)), count: map[string]int{}}
}

// Next makes the next records.
func (g *Generator) Next() Batch {
	b := Batch{Transaction: g.rng.IntN(5) == 0}
	b.Abort = b.Transaction && g.rng.IntN(3) == 0
	n := 1
	if b.Transaction {
		n += g.rng.IntN(3)
	}
	for range n {
		r := g.command()
		if g.rng.IntN(3) == 0 {
			r = g.event()
		}
		if b.Abort {
			_, kind := Mark(r)
			mark(r, Any, "aborted "+kind)
		}
		b.Records = append(b.Records, r)
	}
	return b
}

// Last makes a transaction with a record in each partition of both topics, so
// that markers are the last messages.
func (g *Generator) Last() Batch {
	b := Batch{Transaction: true}
	for partition := range g.Partitions {
		b.Records = append(b.Records,
			mark(&kgo.Record{Topic: eventlog.TopicCommands, Partition: partition, Value: []byte("last")}, Dead, "last"),
			mark(&kgo.Record{Topic: eventlog.TopicEvents, Partition: partition, Value: []byte("last")}, Ignored, "last"))
	}
	return b
}

// within says whether another record of a kind with a bound may be made.
func (g *Generator) within(kind string, bound int) bool {
	if g.count[kind] >= bound {
		return false
	}
	g.count[kind]++
	return true
}

// id is a new command id.
func (g *Generator) id() string {
	g.made++
	return fmt.Sprintf("%s%d", name, g.made)
}

// some picks a text.
func (g *Generator) some(texts ...string) string { return texts[g.rng.IntN(len(texts))] }

// noise is a few random bytes.
func (g *Generator) noise() []byte {
	noise := make([]byte, g.rng.IntN(200))
	for i := range noise {
		noise[i] = byte(g.rng.Uint32())
	}
	return noise
}

// huge is zeros, which compress to little.
func (g *Generator) huge() []byte { return make([]byte, hugeBytes+g.rng.IntN(2*hugeBytes)) }

// mark sets fate and kind of a record.
func mark(r *kgo.Record, fate Fate, kind string) *kgo.Record {
	value := []byte(string(fate) + "/" + kind)
	for i := range r.Headers {
		if r.Headers[i].Key == HeaderMark {
			r.Headers[i].Value = value
			return r
		}
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: HeaderMark, Value: value})
	return r
}

// record is a record in the partition of its stream.
func (g *Generator) record(topic, stream string, headers []eventlog.Header, body []byte) *kgo.Record {
	r := &kgo.Record{Topic: topic, Partition: eventlog.PartitionOf(stream, g.Partitions), Key: []byte(stream), Value: body}
	for _, h := range headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: []byte(h.Value)})
	}
	return r
}

// elsewhere moves a record to another partition.
func (g *Generator) elsewhere(r *kgo.Record) *kgo.Record {
	r.Partition = (r.Partition + 1 + g.rng.Int32N(g.Partitions-1)) % g.Partitions
	return r
}

// set sets a header.
func set(r *kgo.Record, key, value string) *kgo.Record {
	for i := range r.Headers {
		if r.Headers[i].Key == key {
			r.Headers[i].Value = []byte(value)
			return r
		}
	}
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	return r
}

// without removes a header.
func without(r *kgo.Record, key string) *kgo.Record {
	kept := r.Headers[:0]
	for _, h := range r.Headers {
		if h.Key != key {
			kept = append(kept, h)
		}
	}
	r.Headers = kept
	return r
}

// twice repeats a header.
func twice(r *kgo.Record, key string) *kgo.Record {
	for _, h := range r.Headers {
		if h.Key == key {
			r.Headers = append(r.Headers, h)
			break
		}
	}
	return r
}

// event makes a record for topic events.
func (g *Generator) event() *kgo.Record {
	roll := g.rng.IntN(10)
	switch {
	case roll == 0 && g.within("unknown event", maxUnknownEvents):
		stream := users.Aggregate.Stream(fmt.Sprintf("%sevent-%d", name, g.count["unknown event"]))
		r := eventlog.Record{
			Type: "userPromoted", Stream: stream, Seq: 1, Version: 1, Time: time.Now(), CommandID: g.id(), CommandHash: "hash",
			CommandPosition: eventlog.CommandPosition{TopicID: "another"}, Body: []byte("{}"),
		}
		r.Seal()
		return mark(g.record(eventlog.TopicEvents, stream, r.Headers(), r.Body), Counting, "unknown event")
	case roll == 0 && g.within("huge event", maxHuge):
		return mark(&kgo.Record{Topic: eventlog.TopicEvents, Partition: g.rng.Int32N(g.Partitions), Value: g.huge()}, Ignored, "huge")
	case roll <= 1:
		return mark(&kgo.Record{Topic: eventlog.TopicEvents, Partition: g.rng.Int32N(g.Partitions), Key: g.noise(), Value: g.noise()}, Ignored, "garbage")
	}
	r := g.chained()
	m := mark(g.record(eventlog.TopicEvents, r.Stream, r.Headers(), r.Body), Ignored, "wrong digest")
	key := g.some(eventlog.HeaderSubject, eventlog.HeaderType, eventlog.HeaderSeq, eventlog.HeaderVersion, eventlog.HeaderPrev,
		eventlog.HeaderID, eventlog.HeaderTime, eventlog.HeaderCommandID, eventlog.HeaderCommandPosition, eventlog.HeaderSpecVersion)
	switch roll {
	case 2:
		return mark(without(m, key), Ignored, "without "+key)
	case 3:
		return mark(twice(m, key), Ignored, "twice "+key)
	case 4:
		if key != eventlog.HeaderPrev {
			set(m, key, g.some("", "x", "-1", "\xff", "999"))
		}
		return mark(m, Ignored, "wrong "+key)
	case 5:
		return mark(g.elsewhere(m), Ignored, "elsewhere")
	case 6:
		m.Value = nil
		return mark(m, Ignored, "tombstone")
	default:
		return m
	}
}

// chained is a record of the traffic's stream that follows a record of nobody.
func (g *Generator) chained() *eventlog.Record {
	user := g.Victim(g.rng)
	seq := 1 + g.rng.Uint64N(30)
	r := &eventlog.Record{
		Type: g.some("userRenamed", "userDeleted", "userCreated", eventlog.TypeCommandRefused, eventlog.TypeCommandParked, "userPromoted"), Stream: users.Aggregate.Stream(user),
		Seq: seq, Version: max(1, seq-g.rng.Uint64N(seq)), Time: time.Now(), CommandID: g.id(), CommandHash: "hash",
		CommandPosition: eventlog.CommandPosition{TopicID: "another", Offset: g.rng.Int64N(1 << 40)},
		Body:            fmt.Appendf(nil, `{"id":%q,"name":"Mallory"}`, user),
	}
	for i := 0; i < len(r.Prev); i += 8 {
		binary.LittleEndian.PutUint64(r.Prev[i:], g.rng.Uint64()|1)
	}
	r.Seal()
	return r
}
