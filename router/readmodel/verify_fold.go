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
	deferred int64        // records of parked streams, from the failed record on
	others   int64        // records of aggregates outside the projection's Of
	// elsewhere are records in other partitions than their streams'.
	elsewhere int64

	mu     sync.Mutex
	parked map[string]StreamHead // the parked streams of the live read model
}

// newShadow returns a shadow at the start of the log. The number tells shadows
// of a read model apart in the scratch store.
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

// refoldBatch is the number of records in a transaction of the scratch store.
const refoldBatch = 2000

// refold folds shadows up to their targets, in one pass over the log.
func (v *Verifier) refold(ctx context.Context, targets ...target) error {
	group, ctx := errgroup.WithContext(ctx)
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
			batch := make([]eventlog.Record, 0, refoldBatch)
			flush := func() error {
				defer func() { batch = batch[:0] }()
				for _, t := range targets {
					if err := v.fold(ctx, t, partition, batch); err != nil {
						return err
					}
				}
				v.folded(len(batch))
				return nil
			}
			err := readRange(ctx, v.Log, partition, from, to, func(records []eventlog.Record) error {
				for len(records) > 0 {
					n := min(refoldBatch-len(batch), len(records))
					batch, records = append(batch, records[:n]...), records[n:]
					if len(batch) == refoldBatch {
						if err := flush(); err != nil {
							return err
						}
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("read the log: %w", err)
			}
			return flush()
		})
	}
	return group.Wait()
}

// fold folds the records between the shadow's checkpoint and the target.
func (v *Verifier) fold(ctx context.Context, t target, partition int32, records []eventlog.Record) error {
	from := t.at[partition]
	if from.Next >= t.to[partition].Next {
		return nil
	}
	records = before(records, t.to[partition].Next)[len(before(records, from.Next)):]
	if len(records) == 0 {
		return nil
	}
	last := &records[len(records)-1]
	to := from
	to.Next, to.Digest = last.Offset+1, last.Digest
	seen := watchedTx{parked: map[string]int64{}}
	err := v.Scratch.Update(ctx, t.copy, []Move{{from, to}}, func(tx Tx) error {
		seen.Tx = tx
		return apply(ctx, seen, t.copy, v.Events, records, slog.New(slog.DiscardHandler))
	})
	if err != nil {
		return fmt.Errorf("scratch store: %w", err)
	}
	t.at[partition] = to
	deferred, others, elsewhere := int64(0), int64(0), int64(0)
	for i := range records {
		r := &records[i]
		at, parked := seen.parked[r.Stream]
		switch {
		case errors.Is(r.Malformed, eventlog.ErrElsewhere):
			elsewhere++
		case r.Malformed != nil:
		case !t.copy.IsOf(r.Stream):
			others++
		case parked && r.Offset >= at:
			deferred++
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deferred += deferred
	t.others += others
	t.elsewhere += elsewhere
	return nil
}

// watchedTx notes which streams are parked.
type watchedTx struct {
	Tx
	parked map[string]int64 // by stream: the offset of the failed record
}

// Heads implements [Tx].
func (t watchedTx) Heads(ctx context.Context, streams []string) (map[string]StreamHead, error) {
	heads, err := t.Tx.Heads(ctx, streams)
	t.watch(heads)
	return heads, err
}

// PutHeads implements [Tx].
func (t watchedTx) PutHeads(ctx context.Context, heads map[string]StreamHead) error {
	t.watch(heads)
	return t.Tx.PutHeads(ctx, heads)
}

func (t watchedTx) watch(heads map[string]StreamHead) {
	for stream, head := range heads {
		if head.Parked != "" {
			t.parked[stream] = head.ParkedOffset
		}
	}
}
