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

// Ledger is the write side's fold of the whole log: for each stream what the
// next decision needs, and how its last commands ended. Each command service
// has one of its own, so any of them can answer for any command.
//
// It reads the log beside Watermill: a fold that belongs to no group,
// acks nothing and retries nothing leaves a router nothing to do.
type Ledger struct {
	// Snapshots, if not nil, spare a restart the fold of the whole log.
	Snapshots *Snapshots

	log        Log
	registry   *aggregate.Registry
	remember   int // outcomes of a stream
	logger     *slog.Logger
	partitions []*ledgerPartition
	started    chan struct{} // closed when the snapshots are in
}

// ledgerPartition is the fold of one partition. Its lock also guards the desk
// that decides the partition's commands, if this process has claimed it: a
// decision and the record that upsets it never pass each other.
type ledgerPartition struct {
	registry *aggregate.Registry
	remember int // outcomes of a stream

	mu      sync.Mutex
	next    int64           // the offset of the first record that is not folded
	last    eventlog.Digest // of the record before it
	saved   int64           // next of the last snapshot
	streams map[string]*stream
	desk    *desk
	tally   tally
	behind  []caughtUp
	waiting map[waitingFor][]*waiter
}

// caughtUp is somebody who waits for the fold to reach an offset.
type caughtUp struct {
	next int64
	done chan struct{}
}

// waitingFor is a command that somebody waits for.
type waitingFor struct{ stream, commandID string }

// NewLedger returns an empty ledger that will keep so many outcomes for each
// stream.
func NewLedger(log Log, registry *aggregate.Registry, partitions int32, remember int, logger *slog.Logger) *Ledger {
	l := &Ledger{log: log, registry: registry, remember: remember, logger: logger, started: make(chan struct{})}
	for range partitions {
		l.partitions = append(l.partitions, &ledgerPartition{
			registry: registry,
			remember: remember,
			streams:  map[string]*stream{},
			waiting:  map[waitingFor][]*waiter{},
		})
	}
	return l
}

// Run folds the log as it grows, until the context ends. Brokers that are
// away are waited for. It returns [kafka.ErrOffsetGone] when the log lost
// what the ledger has folded: then the ledger is wrong.
func (l *Ledger) Run(ctx context.Context) error {
	if l.Snapshots != nil {
		began := time.Now()
		records, err := l.restore(ctx)
		if err != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if records > 0 {
			l.logger.Info("ledger restored from its snapshots", "records", records, "after", time.Since(began).Round(time.Millisecond).String())
		}
	}
	close(l.started)
	folds, ctx := errgroup.WithContext(ctx)
	if l.Snapshots != nil {
		folds.Go(func() error { l.saveDue(ctx); return nil })
	}
	for partition := range l.partitions {
		folds.Go(func() error { return l.follow(ctx, int32(partition)) })
	}
	return folds.Wait()
}

func (l *Ledger) follow(ctx context.Context, partition int32) error {
	p := l.partitions[partition]
	for try := 0; ; try++ {
		from := p.folded()
		err := l.log.Follow(ctx, partition, from, func(records []eventlog.Record) error {
			p.fold(records, l.logger)
			return nil
		})
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was asked to end
		}
		if errors.Is(err, kafka.ErrOffsetGone) {
			return fmt.Errorf("the ledger can't go on: %w", err)
		}
		if p.folded() > from {
			try = 0
		}
		l.logger.Warn("can't read the log; trying again", "partition", partition, "error", err)
		if kafka.Backoff(ctx, try) != nil {
			return nil //nolint:nilerr // it was asked to end
		}
	}
}

func (p *ledgerPartition) folded() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.next
}

func (p *ledgerPartition) fold(records []eventlog.Record, logger *slog.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range records {
		r := &records[i]
		if r.Offset < p.next {
			continue
		}
		p.next, p.last = r.Offset+1, r.Digest
		if r.Malformed != nil {
			logger.Warn("ignored what is no record", "partition", r.Partition, "offset", r.Offset, "reason", r.Malformed)
			continue
		}
		p.foldOne(r, logger)
	}
	p.wakeCaughtUp()
}

func (p *ledgerPartition) foldOne(r *eventlog.Record, logger *slog.Logger) {
	s := p.streams[r.Stream]
	if s == nil {
		s = new(stream)
	}
	readable, before := s.unreadable == nil, tallyOf(s)
	if !s.fold(p.registry, r, p.remember) {
		logger.Debug("ignored a record that lost its slot", "stream", r.Stream, "seq", r.Seq, "partition", r.Partition, "offset", r.Offset)
		return
	}
	p.streams[r.Stream] = s
	p.tally.move(before, tallyOf(s))
	if readable && s.unreadable != nil {
		logger.Error("stream stopped", "stream", r.Stream, "error", s.unreadable)
	}
	if o, ok := s.outcome(r.CommandID); ok {
		p.tell(waitingFor{r.Stream, r.CommandID}, o)
	}
	if p.desk != nil {
		p.desk.accepted(s, r)
	}
}

func (p *ledgerPartition) wakeCaughtUp() {
	still := p.behind[:0]
	for _, b := range p.behind {
		if p.next >= b.next {
			close(b.done)
		} else {
			still = append(still, b)
		}
	}
	p.behind = still
}

// CatchUp returns once the ledger has folded a partition to where it ends
// now.
func (l *Ledger) CatchUp(ctx context.Context, partition int32) error {
	select {
	case <-l.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	end, err := l.log.End(ctx, partition)
	if err != nil {
		return err
	}
	p := l.partitions[partition]
	p.mu.Lock()
	if p.next >= end {
		p.mu.Unlock()
		return nil
	}
	b := caughtUp{next: end, done: make(chan struct{})}
	p.behind = append(p.behind, b)
	p.mu.Unlock()
	select {
	case <-b.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the ledger is behind: %w", ctx.Err())
	}
}

// Progress is how many records of the log the ledger has folded, and how many
// there are now.
func (l *Ledger) Progress(ctx context.Context) (folded, all int64, err error) {
	for i, p := range l.partitions {
		end, err := l.log.End(ctx, int32(i))
		if err != nil {
			return 0, 0, err
		}
		folded += p.folded()
		all += end
	}
	return folded, all, nil
}
