package readmodel

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// SharedReading reads the log once for all engines of a process that catch up at
// the same time, and decodes the last events once for all engines of a process.
// The zero value is for one engine.
type SharedReading struct {
	// Models is the number of engines.
	Models int

	mu     sync.Mutex
	next   map[int32]*partitionReading // may be joined, by partition
	latest map[int32]*partitionReading
	turns  chan struct{}

	decoded [decodedLast]atomic.Pointer[decodedEvent] // by place
}

// decodedLast is about the number of events that engines of a process share. An
// engine far behind the others decodes for itself.
const decodedLast = 1024

// decodedEvent is the event of the record with a digest, or why the event can't
// be decoded.
type decodedEvent struct {
	digest eventlog.Digest
	event  aggregate.AnyEvent
	err    error
}

// decode decodes a record's event. Other engines may get the same event.
func (s *SharedReading) decode(events projection.Decoder, r *eventlog.Record) (aggregate.AnyEvent, error) {
	if s == nil || s.Models < 2 {
		return events.DecodeEvent(r.Stream, r.Type, r.Body)
	}
	at := &s.decoded[uint64(r.Offset+int64(r.Partition)*61)%decodedLast]
	known := at.Load()
	if known == nil || known.digest != r.Digest {
		event, err := events.DecodeEvent(r.Stream, r.Type, r.Body)
		known = &decodedEvent{r.Digest, event, err}
		at.Store(known)
	}
	return known.event, known.err
}

const (
	// readTogether is the number of partitions that a single engine reads at a
	// time. One reading would wait for the broker between two fetches. With
	// more readings more streams would be in use at the same time.
	readTogether = 2
	// gatherFor is how long a reading waits for further engines: the groups of
	// a process join at nearly the same time.
	gatherFor = 300 * time.Millisecond
)

// partitionReading is one reading of a partition, for some engines.
type partitionReading struct {
	shared    *SharedReading
	partition int32
	before    *partitionReading // must be over first
	members   []*member         // guarded by SharedReading.mu until the reading begins
	all       chan struct{}     // closed once all engines are members
	over      chan struct{}
	stop      context.CancelFunc
}

// member is an engine's part of a reading.
type member struct {
	engine   *Engine
	from, to int64
	take     func([]entry) error
	entries  []entry // for the next call of take

	taking sync.Mutex // held during take
	gone   bool       // guarded by SharedReading.mu
	err    error      // valid once over is closed
	over   chan struct{}
}

// read hands over the records of a partition from offset from to before offset
// to, decoded for an engine. take must not keep the slice nor its records, and
// must not change an event: other engines have the same events.
func (s *SharedReading) read(ctx context.Context, e *Engine, partition int32, from, to int64, take func([]entry) error) error {
	m := &member{engine: e, from: from, to: to, take: take, over: make(chan struct{})}
	r := s.join(m, partition)
	select {
	case <-m.over:
		return m.err
	case <-ctx.Done():
		r.end(m, ctx.Err())
		m.taking.Lock() // take is over
		defer m.taking.Unlock()
		return ctx.Err()
	}
}

// join adds a member to the partition's next reading.
func (s *SharedReading) join(m *member, partition int32) *partitionReading {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turns == nil {
		s.next, s.latest = map[int32]*partitionReading{}, map[int32]*partitionReading{}
		s.turns = make(chan struct{}, s.together())
	}
	r := s.next[partition]
	if r == nil {
		r = &partitionReading{
			shared: s, partition: partition, before: s.latest[partition],
			all: make(chan struct{}), over: make(chan struct{}),
		}
		s.next[partition], s.latest[partition] = r, r
		var ctx context.Context
		ctx, r.stop = context.WithCancel(context.Background())
		go r.run(ctx)
	}
	r.members = append(r.members, m)
	if len(r.members) == max(s.Models, 1) {
		close(r.all)
	}
	return r
}

// together is the number of partitions that are read at a time. Several engines
// wait for the store, not for the broker.
func (s *SharedReading) together() int {
	if s.Models > 1 {
		return 1
	}
	return readTogether
}

// end ends a member's part, once. The last member ends the reading.
func (r *partitionReading) end(m *member, err error) {
	r.shared.mu.Lock()
	defer r.shared.mu.Unlock()
	if m.gone {
		return
	}
	m.gone, m.err = true, err
	close(m.over)
	if !slices.ContainsFunc(r.members, func(m *member) bool { return !m.gone }) {
		r.close()
	}
}

// close ends the reading: nobody can join any more. The caller holds
// SharedReading.mu.
func (r *partitionReading) close() {
	r.stop()
	if r.shared.next[r.partition] == r {
		delete(r.shared.next, r.partition)
	}
}

func (r *partitionReading) run(ctx context.Context) {
	defer close(r.over)
	err := r.awaitTurn(ctx)
	if err == nil {
		defer func() { <-r.shared.turns }()
	}
	s := r.shared
	s.mu.Lock()
	if s.next[r.partition] == r {
		delete(s.next, r.partition)
	}
	s.mu.Unlock()
	if err == nil {
		err = r.follow(ctx)
	}
	for _, m := range r.members {
		r.end(m, err)
	}
	r.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.latest[r.partition] == r { // the members have much in memory
		delete(s.latest, r.partition)
	}
}

// awaitTurn waits for the members, for the partition's reading before, and for a
// turn.
func (r *partitionReading) awaitTurn(ctx context.Context) error {
	gathered := time.NewTimer(gatherFor)
	defer gathered.Stop()
	select {
	case <-r.all:
	case <-gathered.C:
	case <-ctx.Done():
	}
	if r.before != nil {
		<-r.before.over
		r.before = nil
	}
	select {
	case r.shared.turns <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow reads from the first offset of all members to the last.
func (r *partitionReading) follow(ctx context.Context) error {
	first := r.members[0]
	from, to := first.from, first.to
	for _, m := range r.members {
		from, to = min(from, m.from), max(to, m.to)
	}
	var decoded []entry
	return readRange(ctx, first.engine.Log, r.partition, from, to, func(records []eventlog.Record) error {
		decoded = reading{new(projection.Projection), first.engine.Events, nil}.entries(decoded[:0], records)
		for _, m := range r.members {
			if done, err := r.hand(m, decoded); done {
				r.end(m, err)
			}
		}
		clear(decoded)
		return ctx.Err()
	})
}

// hand hands over a member's part of some records. done says that the member
// needs no more.
func (r *partitionReading) hand(m *member, decoded []entry) (done bool, err error) {
	m.taking.Lock()
	defer m.taking.Unlock()
	r.shared.mu.Lock()
	gone := m.gone
	r.shared.mu.Unlock()
	if gone {
		return false, nil
	}
	m.entries = m.entries[:0]
	for i := range decoded {
		if at := decoded[i].Offset; m.from <= at && at < m.to {
			m.entries = append(m.entries, decoded[i].of(m.engine.Projection))
		}
	}
	if len(m.entries) > 0 {
		if err := m.take(m.entries); err != nil {
			return true, err
		}
		clear(m.entries)
	}
	return decoded[len(decoded)-1].Offset >= m.to-1, nil
}
