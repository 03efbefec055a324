package decider

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// Log is where the state store reads topic events.
type Log interface {
	// End is the offset after a partition's last record.
	End(ctx context.Context, partition int32) (int64, error)
	// Follow hands over a partition's records from an offset on, until the
	// context or fn ends the reading.
	Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error
	// At returns the record at an offset.
	At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error)
}

// Disk is an ordered store of keys and values, compared byte by byte: the state
// store's streams on disk. Gets and Scans may come at any time from many
// goroutines; Write, Flush and Clear come from one goroutine.
//
// An error of Get or Scan ends the state store: what is on disk can't be trusted.
type Disk interface {
	// Get returns a key's value, nil if there is none. The caller owns the value.
	Get(key []byte) (value []byte, err error)
	// Scan calls fn for each key with from <= key < to, in order, as of one moment.
	// key and value are valid until fn returns. An error of fn ends the scan, and
	// is the error of Scan.
	Scan(from, to []byte, fn func(key, value []byte) error) error
	// Write applies changes: all, or after an error none. A nil value deletes the
	// key. Gets and Scans see the changes once Write has returned. A crash keeps
	// all changes of the first Writes, and nothing of the others.
	Write(changes iter.Seq2[[]byte, []byte]) error
	// Flush returns once no crash loses anything that was written. After an error
	// the caller tries again.
	Flush() error
	// Clear removes everything, for good.
	Clear() error
}

// StateStore is the write side's fold of the whole log: for each stream the
// head, the aggregate's state, and the outcomes of the last commands. Each
// command service has a state store of the whole log, so any command service can
// answer for any command. The streams are on disk; streams in use are in memory
// too.
//
// The state store reads the log beside Watermill. A fold belongs to no
// consumer group, acks nothing and retries nothing, so a router has nothing to
// do for the fold.
type StateStore struct {
	// EventsID is the id of topic events. A store on disk belongs to one log.
	EventsID string
	// AcceptShorter removes a store on disk that has more of the log than there
	// is. Otherwise such a store is a [kafka.ErrShorter].
	AcceptShorter bool
	// Disk has the streams. Without a disk, set by [StateStore.KeepOn], all streams
	// are in memory, and a restart folds the whole log.
	Disk Disk

	log        Log
	registry   *aggregate.Registry
	remember   int // outcomes of a stream
	logger     *slog.Logger
	processors []*processor  // by partition
	folds      []int32       // the partitions that Run folds
	started    chan struct{} // closed when the store on disk is open
	due        chan struct{} // asks for a batch
	broken     chan error    // why the disk can't be trusted
	unflushed  bool          // batches since the last flush
	torn       bool          // a batch was not written, and none may follow
	batch      batch         // room for the writer
	refusal    atomic.Pointer[error]
	damage     sync.Map // by partition: why the last read ended, if the partition is damaged
}

// NewStateStore returns an empty state store of a log with so many partitions.
// The state store keeps at most remember outcomes of each stream.
func NewStateStore(log Log, registry *aggregate.Registry, partitions int32, remember int, logger *slog.Logger) *StateStore {
	ss := &StateStore{log: log, registry: registry, remember: remember, logger: logger, started: make(chan struct{}), due: make(chan struct{}, 1), broken: make(chan error, 1)}
	for partition := range partitions {
		ss.processors = append(ss.processors, newProcessor(registry, remember, logger))
		ss.folds = append(ss.folds, partition)
	}
	return ss
}

// FoldOnly makes Run fold the partition of one stream alone: the state store
// then knows the streams of that partition. FoldOnly comes before Run, and is for
// a state store without a disk.
func (ss *StateStore) FoldOnly(streamName string) {
	ss.folds = []int32{eventlog.PartitionOf(streamName, int32(len(ss.processors)))}
}

// KeepOn keeps the streams on disk, and about so many bytes of decoded streams in
// memory. The function stood is told each time that a partition stood still for
// the disk, and for how long; nil for none. KeepOn comes before all other calls.
func (ss *StateStore) KeepOn(disk Disk, memory int64, stood func(time.Duration)) {
	ss.Disk = disk
	shared := &sharedMemory{budget: memory}
	for i, p := range ss.processors {
		p.disk, p.partition, p.shared, p.budget = disk, int32(i), shared, int(memory)/len(ss.processors)
		p.due, p.wakeAt, p.stood = ss.due, max(writeAfter/len(ss.processors), 1), stood
		p.broken = func(err error) {
			select {
			case ss.broken <- err:
			default:
			}
		}
	}
}

// Run folds the log as the log grows, until the context ends. While brokers
// are away, Run waits and tries again. The error is [kafka.ErrOffsetGone] if
// the log doesn't have the next record, and a [kafka.ErrShorter] too if the
// state store has folded records that the log has lost: then the state store is
// wrong. The error is [kafka.ErrShorter] if the store on disk has more of the log
// than there is, or a stream remembers a cause behind the end of the log. Other errors say that the disk can't be trusted.
func (ss *StateStore) Run(ctx context.Context) error {
	if ss.Disk != nil {
		if err := ss.open(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the context has ended
			}
			return err
		}
		if folded := ss.Stats().Folded; folded > 0 {
			ss.logger.Info("opened the state store", "records", folded)
		}
	}
	for _, p := range ss.processors {
		p.eventsID = ss.EventsID
	}
	close(ss.started)
	folds, folding := errgroup.WithContext(ctx)
	if ss.Disk != nil {
		folds.Go(func() error { return ss.writeBack(folding) })
	}
	for _, partition := range ss.folds {
		folds.Go(func() error { return ss.follow(folding, partition) })
	}
	folds.Go(func() error { return ss.checkAllCauses(folding) })
	err := folds.Wait()
	switch {
	case ss.Disk == nil:
	case err == nil:
		ss.writeLast()
	case errors.Is(err, errValue):
		ss.noteDamage(err)
	}
	return err
}

func (ss *StateStore) follow(ctx context.Context, partition int32) error {
	p := ss.processors[partition]
	if end, err := ss.log.End(ctx, partition); err == nil { // otherwise old records are told as new ones
		p.mu.Lock()
		p.old = end
		p.mu.Unlock()
	}
	for try := 0; ; try++ {
		from := p.folded.Next()
		var broken error
		err := ss.log.Follow(ctx, partition, from, func(records []eventlog.Record) error {
			if err := p.awaitRoom(ctx); err != nil {
				return err
			}
			broken = p.fold(records)
			return broken
		})
		if broken != nil {
			return broken
		}
		if errors.Is(err, kafka.ErrDamaged) {
			ss.damage.Store(partition, err)
		} else {
			ss.damage.Delete(partition)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the context has ended
		}
		if errors.Is(err, kafka.ErrOffsetGone) {
			if next := p.folded.Next(); next > 0 {
				err = fmt.Errorf("%w: the state store has read partition %d up to offset %d (%w)", kafka.ErrShorter, partition, next-1, err)
			}
			return fmt.Errorf("the state store can't go on: %w", err)
		}
		if p.folded.Next() > from {
			try = 0
		}
		ss.logger.Warn("can't read the log; trying again", "partition", partition, "error", err)
		if kafka.Backoff(ctx, try) != nil {
			return nil //nolint:nilerr // the context has ended
		}
	}
}

// CatchUp returns once the state store has folded a partition up to the
// partition's end at the time of the call. An error may be [kafka.ErrDamaged], or
// [kafka.ErrShorter] if the log has lost the cause of a reaction's command there.
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
	for {
		waiting, stop := context.WithTimeout(ctx, damageEvery)
		caughtUp := ss.processors[partition].folded.Await(waiting, end)
		stop()
		if caughtUp {
			return ss.checkCauses(ctx, partition)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the state store is behind: %w", ctx.Err())
		}
		if err, ok := ss.damage.Load(partition); ok {
			return fmt.Errorf("the state store is behind: %w", err.(error)) //nolint:errcheck // follow stores errors only
		}
	}
}

// CatchUpAll is CatchUp for all partitions that Run folds.
func (ss *StateStore) CatchUpAll(ctx context.Context) error {
	for _, partition := range ss.folds {
		if err := ss.CatchUp(ctx, partition); err != nil {
			return err
		}
	}
	return nil
}

// damageEvery is the time after which CatchUp looks whether the partition can be
// read at all.
const damageEvery = time.Second

// Progress counts the records that the state store has folded, and all records
// that the log has now, in the partitions that Run folds.
func (ss *StateStore) Progress(ctx context.Context) (folded, all int64, err error) {
	for _, partition := range ss.folds {
		end, err := ss.log.End(ctx, partition)
		if err != nil {
			return 0, 0, err
		}
		folded += ss.processors[partition].folded.Next()
		all += end
	}
	return folded, all, nil
}

// processorOf is the partition processor of a stream.
func (ss *StateStore) processorOf(streamName string) *processor {
	return ss.processors[eventlog.PartitionOf(streamName, int32(len(ss.processors)))]
}
