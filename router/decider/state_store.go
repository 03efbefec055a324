package decider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// Log is where the ledger reads topic events.
type Log interface {
	// End is the offset after a partition's last record.
	End(ctx context.Context, partition int32) (int64, error)
	// Follow hands over a partition's records from an offset on, until the
	// context or fn ends it.
	Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error
	// At returns the record at an offset.
	At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error)
}

// StateStore is the write side's fold of the whole log: for each stream what the
// next decision needs, and how its last commands ended. Each command service
// has one of its own, so any of them can answer for any command.
//
// It reads the log beside Watermill: a fold that belongs to no group,
// acks nothing and retries nothing leaves a router nothing to do.
type StateStore struct {
	// Snapshots, if not nil, spare a restart the fold of the whole log.
	Snapshots *Snapshots

	log        Log
	registry   *aggregate.Registry
	remember   int // outcomes of a stream
	logger     *slog.Logger
	partitions []*partition
	started    chan struct{} // closed when the snapshots are in
}

// partition is the fold of one partition. Its lock also guards the desk
// that decides the partition's commands, if this process has claimed it: a
// decision and the record that upsets it never pass each other.
type partition struct {
	registry *aggregate.Registry
	remember int // outcomes of a stream

	mu        sync.Mutex
	next      int64           // the offset of the first record that is not folded
	last      eventlog.Digest // of the record before it
	saved     int64           // next of the last snapshot
	streams   map[string]*stream
	processor *processor
	tally     tally
	behind    []caughtUp
	waiting   map[waitingFor][]*waiter
}

// caughtUp is somebody who waits for the fold to reach an offset.
type caughtUp struct {
	next int64
	done chan struct{}
}

// waitingFor is a command that somebody waits for.
type waitingFor struct{ stream, commandID string }

// NewStateStore returns an empty ledger that will keep so many outcomes for each
// stream.
func NewStateStore(log Log, registry *aggregate.Registry, partitions int32, remember int, logger *slog.Logger) *StateStore {
	ss := &StateStore{log: log, registry: registry, remember: remember, logger: logger, started: make(chan struct{})}
	for range partitions {
		ss.partitions = append(ss.partitions, &partition{
			registry: registry,
			remember: remember,
			streams:  map[string]*stream{},
			waiting:  map[waitingFor][]*waiter{},
		})
	}
	return ss
}

// Run folds the log as it grows, until the context ends. Brokers that are
// away are waited for. It returns [kafka.ErrOffsetGone] when the log lost
// what the ledger has folded: then the ledger is wrong.
func (ss *StateStore) Run(ctx context.Context) error {
	if ss.Snapshots != nil {
		began := time.Now()
		records, err := ss.restore(ctx)
		if err != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if records > 0 {
			ss.logger.Info("ledger restored from its snapshots", "records", records, "after", time.Since(began).Round(time.Millisecond).String())
		}
	}
	close(ss.started)
	folds, ctx := errgroup.WithContext(ctx)
	if ss.Snapshots != nil {
		folds.Go(func() error { ss.saveDue(ctx); return nil })
	}
	for partition := range ss.partitions {
		folds.Go(func() error { return ss.follow(ctx, int32(partition)) })
	}
	return folds.Wait()
}

func (ss *StateStore) follow(ctx context.Context, partition int32) error {
	pt := ss.partitions[partition]
	for try := 0; ; try++ {
		from := pt.folded()
		err := ss.log.Follow(ctx, partition, from, func(records []eventlog.Record) error {
			pt.fold(records, ss.logger)
			return nil
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if errors.Is(err, kafka.ErrOffsetGone) {
			return fmt.Errorf("the ledger can't go on: %w", err)
		}
		if pt.folded() > from {
			try = 0
		}
		ss.logger.Warn("can't read the log; trying again", "partition", partition, "error", err)
		if kafka.Backoff(ctx, try) != nil {
			return nil //nolint:nilerr // it was asked to end
		}
	}
}

func (pt *partition) folded() int64 {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	return pt.next
}

func (pt *partition) fold(records []eventlog.Record, logger *slog.Logger) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	for i := range records {
		r := &records[i]
		if r.Offset < pt.next {
			continue
		}
		pt.next, pt.last = r.Offset+1, r.Digest
		if r.Malformed != nil {
			logger.Warn("ignored what is no record", "partition", r.Partition, "offset", r.Offset, "reason", r.Malformed)
			continue
		}
		pt.foldOne(r, logger)
	}
	pt.wakeCaughtUp()
}

func (pt *partition) foldOne(r *eventlog.Record, logger *slog.Logger) {
	s := pt.streams[r.Stream]
	if s == nil {
		s = new(stream)
	}
	readable, before := s.unreadable == nil, tallyOf(s)
	if !s.fold(pt.registry, r, pt.remember) {
		logger.Debug("ignored a record that lost its slot", "stream", r.Stream, "seq", r.Seq, "partition", r.Partition, "offset", r.Offset)
		return
	}
	pt.streams[r.Stream] = s
	pt.tally.move(before, tallyOf(s))
	if readable && s.unreadable != nil {
		logger.Error("stream stopped", "stream", r.Stream, "error", s.unreadable)
	}
	if o, ok := s.outcome(r.CommandID); ok {
		pt.tell(waitingFor{r.Stream, r.CommandID}, o)
	}
	if pt.processor != nil {
		pt.processor.accepted(s, r)
	}
}

func (pt *partition) wakeCaughtUp() {
	still := pt.behind[:0]
	for _, b := range pt.behind {
		if pt.next >= b.next {
			close(b.done)
		} else {
			still = append(still, b)
		}
	}
	pt.behind = still
}

// CatchUp returns once the ledger has folded a partition to where it ends
// now.
func (ss *StateStore) CatchUp(ctx context.Context, partition int32) error {
	select {
	case <-ss.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	end, err := ss.log.End(ctx, partition)
	if err != nil {
		return err
	}
	pt := ss.partitions[partition]
	pt.mu.Lock()
	if pt.next >= end {
		pt.mu.Unlock()
		return nil
	}
	b := caughtUp{next: end, done: make(chan struct{})}
	pt.behind = append(pt.behind, b)
	pt.mu.Unlock()
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the ledger is behind: %w", ctx.Err())
	}
}

// Progress is how many records of the log the ledger has folded, and how many
// there are now.
func (ss *StateStore) Progress(ctx context.Context) (folded, all int64, err error) {
	for i, pt := range ss.partitions {
		end, err := ss.log.End(ctx, int32(i))
		if err != nil {
			return 0, 0, err
		}
		folded += pt.folded()
		all += end
	}
	return folded, all, nil
}
