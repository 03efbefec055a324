package decider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/router/kafka"
)

// Snapshots keeps the partitions of a state store on local disk: a restart
// folds only the records behind the snapshots. A start checks each snapshot
// against the log. Deleting snapshots is safe.
type Snapshots struct {
	// Dir is the folder of the snapshots.
	Dir string
	// EventsID is the id of topic events.
	EventsID string
	// AcceptShorter ignores snapshots of a log that was longer. Otherwise such a
	// snapshot is a [kafka.ErrShorter].
	AcceptShorter bool
}

const (
	// snapshotEvery is the time between two checks whether a snapshot is due.
	snapshotEvery = time.Minute
	// snapshotAfter is how many records of a partition make a snapshot due.
	snapshotAfter = 20_000
)

func (s *Snapshots) file(partition int32) string {
	return filepath.Join(s.Dir, fmt.Sprintf("%s-%d.snapshot", s.EventsID, partition))
}

// errOtherVersions is returned for a snapshot of a release that folds otherwise.
var errOtherVersions = errors.New("the snapshot is of other versions of the aggregates")

// restore fills the state store from the snapshots that fit the log, and counts
// the records that need no fold.
func (ss *StateStore) restore(ctx context.Context) (records int64, err error) {
	for i, p := range ss.processors {
		snap, err := ss.load(ctx, int32(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return records, ctx.Err()
			}
			if errors.Is(err, kafka.ErrShorter) && !ss.Snapshots.AcceptShorter {
				return records, fmt.Errorf("%s: %w", ss.Snapshots.file(int32(i)), err)
			}
			level := slog.LevelWarn
			if errors.Is(err, errOtherVersions) {
				level = slog.LevelInfo // as after every release that folds otherwise
			}
			ss.logger.Log(ctx, level, "ignored a snapshot of the state store; folding the log instead", "file", ss.Snapshots.file(int32(i)), "reason", err)
			continue
		}
		p.restored(snap)
		records += snap.Next
	}
	return records, nil
}

func (p *processor) restored(snap *snapshot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams, p.last, p.saved = snap.streams, snap.Last, snap.Next
	p.folded.Set(snap.Next)
	for _, s := range snap.streams {
		p.tally.move(tally{}, p.tallyOf(s))
		for _, at := range append(slices.Clone(s.decidedBefore), s.decided) {
			p.decidedUpTo(at)
		}
	}
}

// load reads a snapshot, and checks the snapshot against the log.
func (ss *StateStore) load(ctx context.Context, partition int32) (*snapshot, error) {
	data, err := os.ReadFile(ss.Snapshots.file(partition))
	if err != nil {
		return nil, err
	}
	snap, err := decodeSnapshot(ss.registry, data)
	if err != nil {
		return nil, err
	}
	switch {
	case snap.EventsID != ss.Snapshots.EventsID || snap.Partition != partition || int(snap.Partitions) != len(ss.processors):
		return nil, errors.New("the snapshot is of another log")
	case snap.Fold != ss.registry.FoldVersion():
		return nil, errOtherVersions
	case snap.Remember < ss.remember:
		return nil, fmt.Errorf("the snapshot keeps %d outcomes a stream, and handlers.outcomes_per_stream is %d", snap.Remember, ss.remember)
	case snap.Next == 0:
		return snap, nil
	}
	end, err := ss.log.End(ctx, partition)
	if err != nil {
		return nil, err
	}
	if snap.Next > end {
		return nil, fmt.Errorf("%w: the snapshot is ahead of the log, which ends at offset %d of partition %d", kafka.ErrShorter, end, partition)
	}
	record, err := ss.log.At(ctx, partition, snap.Next-1)
	if err != nil {
		return nil, err
	}
	if record.Digest != snap.Last {
		return nil, fmt.Errorf("%w: the log has another record at the end of the snapshot, offset %d of partition %d", kafka.ErrShorter, snap.Next-1, partition)
	}
	return snap, nil
}

// saveDue saves the partitions with many new records, once a minute until the
// context ends, and then all partitions with new records.
func (ss *StateStore) saveDue(ctx context.Context) {
	tick := time.NewTicker(snapshotEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ss.save(snapshotAfter)
		case <-ctx.Done():
			ss.save(1)
			return
		}
	}
}

// save saves the partitions that have folded so many records since their last
// snapshot.
func (ss *StateStore) save(records int64) {
	for i, p := range ss.processors {
		data, next, err := p.snapshot(ss, int32(i), records)
		if err == nil && data != nil {
			err = writeFile(ss.Snapshots.file(int32(i)), data)
		}
		if err != nil {
			ss.logger.Warn("can't save a snapshot of the state store; the next start folds more of the log", "partition", i, "error", err)
			continue
		}
		if data != nil {
			p.mu.Lock()
			p.saved = next
			p.mu.Unlock()
		}
	}
}

// snapshot encodes a partition, or returns nil if no snapshot is due. Meanwhile
// the partition stands still, for about a microsecond a stream.
func (p *processor) snapshot(ss *StateStore, partition int32, records int64) ([]byte, int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.folded.Next()
	if next-p.saved < records {
		return nil, 0, nil
	}
	s := snapshot{
		EventsID: ss.Snapshots.EventsID, Fold: ss.registry.FoldVersion(), Partitions: int32(len(ss.processors)), Partition: partition,
		Next: next, Last: p.last, Remember: ss.remember, streams: p.streams,
	}
	data, err := s.encode(ss.registry)
	return data, next, err
}

// writeFile writes a file whole, or not at all: another process may read or
// write the same file.
func writeFile(name string, data []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), "writing-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	if err = errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
