package readmodel

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/logging"
	"github.com/millrace/millrace/router/projection"
)

// entry is a record of the log with the decoded event. The record belongs to
// all readers of the log, so nobody changes the record.
type entry struct {
	*eventlog.Record
	aggregateID string
	data        aggregate.AnyEvent
	other       bool  // the record is of another aggregate than the projection's Of
	unreadable  error // why this binary can't apply the record
}

func (e *entry) event() projection.Event {
	return projection.Event{Record: *e.Record, AggregateID: e.aggregateID, Data: e.data}
}

// reading decodes records for one read model.
type reading struct {
	projection *projection.Projection
	events     projection.Decoder
	shared     *SharedReading // nil to decode each event anew
}

func (d reading) entry(r *eventlog.Record) entry {
	e := entry{Record: r, unreadable: r.Unreadable}
	if r.Malformed != nil {
		return e
	}
	if e.other = !d.projection.IsOf(r.Stream); e.other {
		return e
	}
	_, e.aggregateID, _ = aggregate.SplitStream(r.Stream)
	if r.Unreadable == nil && eventlog.IsEvent(r.Type) {
		e.data, e.unreadable = d.shared.decode(d.events, r)
	}
	return e
}

// entries appends the entries of records. The caller must not use the memory of
// the records for other records.
func (d reading) entries(to []entry, records []eventlog.Record) []entry {
	to = slices.Grow(to, len(records))
	for i := range records {
		to = append(to, d.entry(&records[i]))
	}
	return to
}

// of is an entry that was decoded for all read models, for one of them.
func (e entry) of(p *projection.Projection) entry {
	if e.Malformed == nil {
		e.other = !p.IsOf(e.Stream)
	}
	return e
}

// apply folds a batch of records into a read model, within the transaction that
// moves the checkpoints. The records of a partition are in order.
func apply(ctx context.Context, tx Tx, p *projection.Projection, events projection.Decoder, records []eventlog.Record, log *slog.Logger) error {
	return newFold(p, log).commit(ctx, tx, reading{p, events, nil}.entries(nil, records))
}

// fold is a set of rows and heads: a copy of the looked-up part of a read
// model, with the changes since the last flush.
type fold struct {
	projection *projection.Projection
	log        *slog.Logger
	streams    map[string]*stream
	changed    []*stream
	rows       *rowSet
	written    *written // names in the store; nil if unknown names must be looked up
	guesses    bool     // a stream that begins in this batch is not looked up
	parks      bool     // a stream was parked since the last flush
	room       []stream

	// Memory for the next batch.
	found    []*stream
	accepted []int
	keys     []projection.RowKey
	flushing changes
}

// stream is the state of a stream in a read model.
type stream struct {
	name string
	// at is the head after the applied records. gate is ahead by the accepted
	// records that are not applied yet.
	at      StreamHead
	gate    eventlog.Head
	changed bool
	fresh   bool // a guess: the store has no head
	used    int  // the period of the last use
}

func newFold(p *projection.Projection, log *slog.Logger) *fold {
	return &fold{projection: p, log: log, streams: map[string]*stream{}, rows: newRowSet(p)}
}

func (f *fold) newStream(name string) *stream {
	if len(f.room) == 0 {
		f.room = make([]stream, chunk)
	}
	s := &f.room[0]
	f.room = f.room[1:]
	s.name = name
	return s
}

// stored looks up unknown heads and rows: a [Tx] or a [View].
type stored interface {
	Heads(ctx context.Context, streams []string) (map[string]StreamHead, error)
	Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error)
}

// commit folds records, and writes the changes.
func (f *fold) commit(ctx context.Context, tx Tx, entries []entry) error {
	if err := f.apply(ctx, tx, entries); err != nil {
		return err
	}
	return f.flush(ctx, tx)
}

// apply folds records into the rows and heads in memory.
func (f *fold) apply(ctx context.Context, from stored, entries []entry) error {
	streams, err := f.lookUp(ctx, from, entries)
	if err != nil {
		return err
	}
	accepted := f.gate(entries, streams)
	keys := f.keys[:0]
	for _, i := range accepted {
		e := &entries[i]
		if e.unreadable != nil {
			continue
		}
		of, err := f.keysOf(e)
		if err != nil {
			e.unreadable = err
			continue
		}
		keys = append(keys, of...)
	}
	f.keys = keys
	if err := f.rows.fetch(ctx, from, keys); err != nil {
		return err
	}
	for _, i := range accepted {
		f.applyTo(streams[i], &entries[i])
	}
	return nil
}

// lookUp returns the stream of each record: nil for a malformed record, and for
// a record of another aggregate.
func (f *fold) lookUp(ctx context.Context, from stored, entries []entry) ([]*stream, error) {
	streams := slices.Grow(f.found[:0], len(entries))[:len(entries)]
	clear(streams)
	f.found = streams
	var unknown []string
	for i := range entries {
		e := &entries[i]
		if e.Malformed != nil || e.other {
			continue
		}
		s := f.streams[e.Stream]
		if s == nil {
			s = f.newStream(e.Stream)
			f.streams[e.Stream] = s
			if _, first := s.gate.Accept(e.Record); first && f.guesses {
				s.fresh = true // or the flush fails
			} else if f.written.has(e.Stream) {
				unknown = append(unknown, e.Stream)
			}
		}
		s.used = f.rows.period
		streams[i] = s
	}
	if len(unknown) == 0 {
		return streams, nil
	}
	heads, err := from.Heads(ctx, unknown)
	for name, head := range heads {
		s := f.streams[name]
		s.at, s.gate = head, head.Head
	}
	return streams, err
}

// aheadOf returns what a new fold of these records will ask of the store: the heads
// of their streams, and the rows of all records that the gate may accept.
func aheadOf(p *projection.Projection, entries []entry, guesses bool) func() Ahead {
	return func() (ahead Ahead) {
		known := make(map[string]bool, len(entries))
		rows := newFold(p, nil)
		for i := range entries {
			e := &entries[i]
			if e.Malformed != nil || e.other {
				continue
			}
			if !known[e.Stream] {
				known[e.Stream] = true
				if _, first := (eventlog.Head{}).Accept(e.Record); !first || !guesses {
					ahead.Streams = append(ahead.Streams, e.Stream)
				}
			}
			if e.unreadable != nil {
				continue
			}
			if of, err := rows.keysOf(e); err == nil { // the fold finds the error again
				ahead.Keys = append(ahead.Keys, of...)
			}
		}
		return ahead
	}
}

// gate returns the indexes of the accepted records, in order.
func (f *fold) gate(entries []entry, streams []*stream) []int {
	accepted := f.accepted[:0]
	for i, s := range streams {
		if s == nil || s.at.Parked != "" { // a retry folds the stream again from the log
			continue
		}
		if head, ok := s.gate.Accept(entries[i].Record); ok {
			s.gate = head
			accepted = append(accepted, i)
		}
	}
	f.accepted = accepted
	return accepted
}

// applyTo changes the rows by an accepted record, and moves the stream's head.
func (f *fold) applyTo(s *stream, e *entry) {
	if s.at.Parked != "" {
		return // parked by an earlier record of this batch
	}
	if !s.changed {
		s.changed = true
		f.changed = append(f.changed, s)
	}
	if err := f.applyOne(e); err != nil {
		f.rows.rollback()
		f.parks = true
		s.at.Parked, s.at.ParkedOffset = err.Error(), e.Offset
		s.gate = s.at.Head
		f.log.Error("parked a stream in a read model", "read model", f.projection.Name, "stream", s.name, "partition", e.Partition, "offset", e.Offset, "command", e.CommandID, logging.Trace(e.Trace), "error", err)
		return
	}
	f.rows.commit()
	s.at.Head = eventlog.Head{Seq: e.Seq, Version: e.Version, Digest: e.Digest}
	// A command that waits for a claim is decided with its end: a read after the
	// command waits till then.
	awaits := e.Type == eventlog.TypeClaimAnswered || eventlog.SaysAwaitsClaim(e.Type, e.Body)
	if !awaits && !s.at.HasDecided(e.CommandPosition) { // deferred commands are decided late: the position never moves back
		s.at.Decided = e.CommandPosition
	}
}

func (f *fold) applyOne(e *entry) (err error) {
	if e.unreadable != nil {
		return e.unreadable
	}
	defer recovered(&err)
	return f.projection.Apply(f.rows, e.event())
}

// keysOf returns the keys of the rows that the projection needs for a record.
func (f *fold) keysOf(e *entry) (keys []projection.RowKey, err error) {
	defer recovered(&err)
	keys = f.projection.RowKeys(e.event())
	return keys, f.rows.check(keys)
}

// recovered, when deferred, turns a panic of the projection into an error.
func recovered(err *error) {
	if value := recover(); value != nil {
		*err = fmt.Errorf("the projection panicked: %v\n%s", value, debug.Stack())
	}
}

// flush writes the changes. Until flushed is called, the next flush writes the
// same changes again.
func (f *fold) flush(ctx context.Context, tx Tx) error {
	f.flushing = f.changes(f.flushing)
	f.flushing.sort()
	return f.flushing.write(ctx, tx)
}

// changes are copies of changed rows and heads. The fold may continue during
// the write.
type changes struct {
	tables []tableChanges
	heads  map[string]StreamHead
	fresh  map[string]StreamHead // of streams without a head in the store
}

// changes returns the changes since flushed was last called, in the memory of
// other changes without a reader.
func (f *fold) changes(room changes) changes {
	c := changes{tables: f.rows.changes(room.tables), heads: room.heads, fresh: room.fresh}
	if c.heads == nil {
		c.heads, c.fresh = make(map[string]StreamHead, len(f.changed)), map[string]StreamHead{}
	}
	clear(c.heads)
	clear(c.fresh)
	for _, s := range f.changed {
		to := c.heads
		if s.fresh {
			to = c.fresh
		}
		to[s.name] = s.at
		f.written.add(s.name)
	}
	return c
}

func (c changes) sort() {
	for _, t := range c.tables {
		t.sort()
	}
}

func (c changes) write(ctx context.Context, tx Tx) error {
	for _, t := range c.tables {
		if err := t.write(ctx, tx); err != nil {
			return err
		}
	}
	if len(c.fresh) > 0 {
		if err := tx.InsertHeads(ctx, c.fresh); err != nil {
			return err
		}
	}
	if len(c.heads) == 0 {
		return nil
	}
	return tx.PutHeads(ctx, c.heads)
}

// flushed says that the changes are committed, or will be before the next
// lookup.
func (f *fold) flushed() {
	for _, s := range f.changed {
		s.changed, s.fresh = false, false
	}
	f.parks = false
	f.changed = f.changed[:0]
	f.rows.flushed()
}

// keptMost is the number of streams, and of rows of a table, above which a fold
// forgets between two batches.
const keptMost = 1000

// keep forgets streams and rows if more than most are known: those without a use
// since the last time, and if these are too few, all.
func (f *fold) keep(most int) {
	for _, all := range []bool{false, true} {
		if f.knowsMore(most) {
			f.forget(all)
			f.rows.period++
		}
	}
}

func (f *fold) knowsMore(than int) bool {
	return len(f.streams) > than ||
		slices.ContainsFunc(f.rows.tables, func(t *tableRows) bool { return len(t.rows) > than })
}

// forget forgets the streams and rows without a use in the present period, or
// all.
func (f *fold) forget(all bool) {
	now := f.rows.period
	maps.DeleteFunc(f.streams, func(_ string, s *stream) bool { return all || s.used < now })
	for _, t := range f.rows.tables {
		maps.DeleteFunc(t.rows, func(_ string, r *workRow) bool { return all || r.used < now })
	}
}
