package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// shadow is a read model folded anew, in the scratch store.
type shadow struct {
	live *projection.Projection
	// copy is the live projection, but parks streams where the live read model
	// has the streams parked. So the rows of parked streams, and shared rows,
	// are comparable.
	copy     *projection.Projection
	at       []Checkpoint // the shadow's checkpoints
	writer   *bulkWriter  // folds into the scratch store, and moves at
	deferred int64        // records of parked streams, from the failed record on
	others   int64        // records of aggregates outside the projection's Of
	// elsewhere are records in other partitions than their streams'.
	elsewhere int64

	mu     sync.Mutex
	parked map[string]StreamHead // the parked streams of the live read model
}

// newShadow returns a shadow without checkpoints. The number tells shadows of a
// read model apart in the scratch store.
func newShadow(p *projection.Projection, number int) *shadow {
	s := &shadow{live: p, copy: new(projection.Projection)}
	*s.copy = *p
	s.copy.Name += strconv.Itoa(number)
	s.copy.Keys = func(e projection.Event) []projection.RowKey {
		if head, ok := s.parkedAt(e.Stream); ok && head.ParkedOffset == e.Offset {
			return nil
		}
		return p.RowKeys(e)
	}
	s.copy.Apply = func(rows projection.Rows, e projection.Event) error {
		if head, ok := s.parkedAt(e.Stream); ok && head.ParkedOffset == e.Offset {
			return parkedError(head.Parked)
		}
		return p.Apply(rows, e)
	}
	return s
}

// knownAtOnce is the number of streams, and of rows of a table, that the shadows of
// all read models keep in memory together: some 50 MB.
const knownAtOnce = 25_000

func (v *Verifier) known() int {
	if v.knownAtOnce > 0 {
		return v.knownAtOnce
	}
	return knownAtOnce
}

func (v *Verifier) shadow(ctx context.Context, p *projection.Projection) (*shadow, error) {
	v.shadows++
	s := newShadow(p, v.shadows)
	err := v.Scratch.Prepare(ctx, s.copy, v.Partitions)
	if err == nil {
		s.at, err = v.Scratch.Checkpoints(ctx, s.copy)
	}
	if err != nil {
		return nil, fmt.Errorf("scratch store: %w", err)
	}
	s.writer = newBulkWriter(newBulk(s.copy, slog.New(slog.DiscardHandler), s.at), s.at)
	s.writer.bulk.maxKnown = v.known() / v.models
	s.writer.view = func(ctx context.Context, fn func(View) error) error { return v.Scratch.View(ctx, s.copy, fn) }
	s.writer.update = func(ctx context.Context, moves []Move, fn func(Tx) error) error {
		return v.Scratch.Update(ctx, s.copy, moves, nil, fn)
	}
	return s, nil
}

// parkedError is the reason for which the live read model has a stream parked.
type parkedError string

func (e parkedError) Error() string { return string(e) }

func (s *shadow) parkedAt(stream string) (StreamHead, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	head, ok := s.parked[stream]
	return head, ok
}

// follows says whether the shadow can go on to these checkpoints and parked
// streams. A new shadow is needed if the live read model went back, or if a
// stream was parked or released at a record that the shadow has folded.
// Otherwise the shadow parks streams as told from now on.
func (s *shadow) follows(to []Checkpoint, parked []ParkedStream) bool {
	for i := range to {
		if s.at[i].Next > to[i].Next {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := make(map[string]StreamHead, len(parked))
	for _, p := range parked {
		known, ok := s.parked[p.Stream]
		if behind := p.ParkedOffset < s.at[p.Partition].Next; ok && known.ParkedOffset != p.ParkedOffset || !ok && behind {
			return false
		}
		now[p.Stream] = p.StreamHead
	}
	for stream := range s.parked {
		if _, ok := now[stream]; !ok {
			return false
		}
	}
	s.parked = now
	return true
}

// target is the checkpoints up to which a shadow is to be folded.
type target struct {
	*shadow
	to []Checkpoint
}

// refold folds shadows up to their targets, in one pass over the log. Few
// partitions are read at a time, as in a rebuild: the streams of a partition are
// in memory then, and few large transactions write rows in the order of their keys.
func (v *Verifier) refold(ctx context.Context, targets ...target) error {
	err := v.readTo(ctx, targets)
	for _, t := range targets {
		if err == nil {
			err = t.writer.write(ctx)
		}
		if failed := t.writer.awaitWrite(); err == nil {
			err = failed
		}
	}
	return err
}

func (v *Verifier) readTo(ctx context.Context, targets []target) error {
	group, reading := errgroup.WithContext(ctx) // transactions go on after the reading
	group.SetLimit(readBeside)
	var folding sync.Mutex // one partition at a time
	for partition := range v.Partitions {
		from, to := int64(-1), int64(0)
		for _, t := range targets {
			at, end := t.at[partition].Next, t.to[partition].Next
			if at < end {
				if from < 0 || at < from {
					from = at
				}
				to = max(to, end)
			}
		}
		if from < 0 {
			continue
		}
		group.Go(func() error {
			err := readRange(reading, v.Log, partition, from, to, func(records []eventlog.Record) error {
				folding.Lock()
				defer folding.Unlock()
				for _, t := range targets {
					if err := v.fold(ctx, t, partition, records); err != nil {
						return fmt.Errorf("scratch store: %w", err)
					}
				}
				v.folded(len(records))
				return nil
			})
			if err != nil {
				return fmt.Errorf("fold the log anew: %w", err)
			}
			return nil
		})
	}
	return group.Wait()
}

// fold folds the records between the shadow's checkpoint and the target.
func (v *Verifier) fold(ctx context.Context, t target, partition int32, records []eventlog.Record) error {
	from, end := t.at[partition].Next, t.to[partition].Next
	if from >= end {
		return nil
	}
	records = before(records, end)[len(before(records, from)):]
	if len(records) == 0 {
		return nil
	}
	w := t.writer
	entries := reading{t.copy, v.Events, nil}.entries(nil, records)
	if err := w.bulk.apply(ctx, w, entries); err != nil {
		return err
	}
	w.move(entries)
	for i := range entries {
		switch s := w.bulk.found[i]; {
		case errors.Is(entries[i].Malformed, eventlog.ErrElsewhere):
			t.elsewhere++
		case entries[i].Malformed != nil:
		case entries[i].other:
			t.others++
		case s.at.Parked != "" && entries[i].Offset >= s.at.ParkedOffset:
			t.deferred++
		}
	}
	if w.bulk.full(t.at[partition].Next >= end) {
		return w.write(ctx)
	}
	return nil
}
