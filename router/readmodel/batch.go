package readmodel

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// entry is a record of the log, and what it says.
type entry struct {
	projection.Event
	other      bool  // the record is of an aggregate that the read model is not of
	unreadable error // why it can't be read by this binary
}

// reading makes entries of records, for one read model.
type reading struct {
	projection *projection.Projection
	events     projection.Decoder
}

func (d reading) entry(r eventlog.Record) entry {
	e := entry{Event: projection.Event{Record: r}, unreadable: r.Unreadable}
	if r.Malformed != nil {
		return e
	}
	if e.other = !d.projection.IsOf(r.Stream); e.other {
		return e
	}
	_, e.AggregateID, _ = aggregate.SplitStream(r.Stream)
	if r.Unreadable == nil && eventlog.IsEvent(r.Type) {
		e.Data, e.unreadable = d.events.DecodeEvent(r.Stream, r.Type, r.Body)
	}
	return e
}

// entries appends those of records.
func (d reading) entries(to []entry, records []eventlog.Record) []entry {
	to = slices.Grow(to, len(records))
	for i := range records {
		to = append(to, d.entry(records[i]))
	}
	return to
}

// apply folds a batch of records into a read model, those of each partition in
// order, in the transaction that moves the checkpoints: the gate, the
// projection, the rows and the streams' heads.
func apply(ctx context.Context, tx Tx, p *projection.Projection, events projection.Decoder, records []eventlog.Record, log *slog.Logger) error {
	return newFold(p, log).commit(ctx, tx, reading{p, events}.entries(nil, records))
}

// fold is a read model's rows and heads as far as they have been looked at,
// and what has changed in them since they were last written.
type fold struct {
	projection *projection.Projection
	log        *slog.Logger
	streams    map[string]*stream
	changed    []*stream
	rows       *rowSet
	written    *written // nil if what isn't known must be looked up
}

// stream is a stream in a read model.
type stream struct {
	name string
	// at is where it stands. The gate may be ahead, by what it let through and
	// is still to be applied.
	at      StreamHead
	gate    eventlog.Head
	changed bool
	used    int // the period when it was last asked for
}

func newFold(p *projection.Projection, log *slog.Logger) *fold {
	return &fold{projection: p, log: log, streams: map[string]*stream{}, rows: newRowSet(p)}
}

// stored is where a fold looks up what it doesn't know yet: a [Tx] or a [View].
type stored interface {
	Heads(ctx context.Context, streams []string) (map[string]StreamHead, error)
	Rows(ctx context.Context, table string, keys []projection.Row) ([]projection.Row, error)
}

// commit folds records, and writes what has changed.
func (f *fold) commit(ctx context.Context, tx Tx, entries []entry) error {
	if err := f.apply(ctx, tx, entries); err != nil {
		return err
	}
	return f.flush(ctx, tx)
}

// apply folds records on top of what is known.
func (f *fold) apply(ctx context.Context, from stored, entries []entry) error {
	streams, err := f.lookUp(ctx, from, entries)
	if err != nil {
		return err
	}
	accepted := f.gate(entries, streams)
	var keys []projection.RowKey
	for _, i := range accepted {
		if e := &entries[i]; e.unreadable == nil {
			keys = append(keys, f.projection.RowKeys(e.Event)...)
		}
	}
	if err := f.rows.fetch(ctx, from, keys); err != nil {
		return err
	}
	for _, i := range accepted {
		f.applyTo(streams[i], &entries[i])
	}
	return nil
}

// lookUp finds the stream of each record, nil for a record that is malformed, or
// of an aggregate that the read model is not of.
func (f *fold) lookUp(ctx context.Context, from stored, entries []entry) ([]*stream, error) {
	streams := make([]*stream, len(entries))
	var unknown []string
	for i := range entries {
		e := &entries[i]
		if e.Malformed != nil || e.other {
			continue
		}
		s := f.streams[e.Stream]
		if s == nil {
			s = &stream{name: e.Stream}
			f.streams[e.Stream] = s
			if f.written.has(e.Stream) {
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

// gate says which records count, in order.
func (f *fold) gate(entries []entry, streams []*stream) []int {
	accepted := make([]int, 0, len(entries))
	for i, s := range streams {
		if s == nil || s.at.Parked != "" { // it is redone from the log once it is mended
			continue
		}
		if head, ok := s.gate.Accept(&entries[i].Record); ok {
			s.gate = head
			accepted = append(accepted, i)
		}
	}
	return accepted
}

// applyTo changes the rows by an accepted record, and moves its stream on.
func (f *fold) applyTo(s *stream, e *entry) {
	if s.at.Parked != "" {
		return // it stopped earlier in this batch
	}
	if !s.changed {
		s.changed = true
		f.changed = append(f.changed, s)
	}
	if err := f.applyOne(e); err != nil {
		f.rows.rollback()
		s.at.Parked, s.at.ParkedOffset = err.Error(), e.Offset
		s.gate = s.at.Head
		f.log.Error("parked a stream in a read model", "read model", f.projection.Name, "stream", s.name, "partition", e.Partition, "offset", e.Offset, "command", e.CommandID, eventlog.TraceAttr(e.Trace), "error", err)
		return
	}
	f.rows.commit()
	s.at.Head = eventlog.Head{Seq: e.Seq, Version: e.Version, Digest: e.Digest}
	if !s.at.HasDecided(e.CommandPosition) { // what was held longest is decided last
		s.at.Decided = e.CommandPosition
	}
}

func (f *fold) applyOne(e *entry) (err error) {
	if e.unreadable != nil {
		return e.unreadable
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the projection panicked: %v\n%s", value, debug.Stack())
		}
	}()
	return f.projection.Apply(f.rows, e.Event)
}

// flush writes what has changed. It is to be written until it is known to be.
func (f *fold) flush(ctx context.Context, tx Tx) error { return f.changes().write(ctx, tx) }

// changes are rows and heads as they are now: the fold may go on while they are
// written.
type changes struct {
	tables []tableChanges
	heads  map[string]StreamHead
}

// changes are those that flushed hasn't been told of.
func (f *fold) changes() changes {
	c := changes{tables: f.rows.changes(), heads: make(map[string]StreamHead, len(f.changed))}
	for _, s := range f.changed {
		c.heads[s.name] = s.at
		f.written.add(s.name)
	}
	return c
}

func (c changes) write(ctx context.Context, tx Tx) error {
	for _, t := range c.tables {
		if err := t.write(ctx, tx); err != nil {
			return err
		}
	}
	if len(c.heads) == 0 {
		return nil
	}
	return tx.PutHeads(ctx, c.heads)
}

// flushed says that the changes are committed, or will be before anything is
// looked up.
func (f *fold) flushed() {
	for _, s := range f.changed {
		s.changed = false
	}
	f.changed = f.changed[:0]
	f.rows.flushed()
}
