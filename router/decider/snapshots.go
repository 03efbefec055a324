package decider

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Snapshots keeps the ledger's partitions on local disk, so that a restart
// folds only what came since. They are checked against the log when they are
// read, and safe to delete.
type Snapshots struct {
	// Dir is their folder.
	Dir string
	// EventsID is the id of topic events.
	EventsID string
}

const (
	// snapshotEvery is how often it is looked whether a snapshot is due, and
	// snapshotAfter how many records of a partition make one due.
	snapshotEvery = time.Minute
	snapshotAfter = 20_000
)

func (s *Snapshots) file(partition int32) string {
	return filepath.Join(s.Dir, fmt.Sprintf("%s-%d.snapshot", s.EventsID, partition))
}

// restore fills the ledger from the snapshots that fit the log. It says how
// many records need not be folded again.
func (ss *StateStore) restore(ctx context.Context) (records int64, err error) {
	for i, pt := range ss.partitions {
		snap, err := ss.load(ctx, int32(i))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			if ctx.Err() != nil {
				return records, ctx.Err()
			}
			ss.logger.Warn("ignored a snapshot of the ledger; folding the log instead", "file", ss.Snapshots.file(int32(i)), "reason", err)
			continue
		}
		pt.restored(snap)
		records += snap.Next
	}
	return records, nil
}

func (pt *partition) restored(snap *snapshot) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	pt.streams, pt.next, pt.last, pt.saved = snap.streams, snap.Next, snap.Last, snap.Next
	for _, s := range snap.streams {
		pt.tally.move(tally{}, tallyOf(s))
	}
}

// load reads a snapshot, and checks it against the log.
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
	case snap.EventsID != ss.Snapshots.EventsID || snap.Partition != partition || int(snap.Partitions) != len(ss.partitions):
		return nil, errors.New("it is of another log")
	case snap.Fold != ss.registry.FoldVersion():
		return nil, errors.New("its states are of other versions of the aggregates")
	case snap.Remember < ss.remember:
		return nil, fmt.Errorf("it keeps %d outcomes a stream, and handlers.outcomes_per_stream is %d", snap.Remember, ss.remember)
	case snap.Next == 0:
		return snap, nil
	}
	end, err := ss.log.End(ctx, partition)
	if err != nil {
		return nil, err
	}
	if snap.Next > end {
		return nil, fmt.Errorf("it is ahead of the log, which ends at offset %d: the log lost its tail", end)
	}
	record, err := ss.log.At(ctx, partition, snap.Next-1)
	if err != nil {
		return nil, err
	}
	if record.Digest != snap.Last {
		return nil, errors.New("the log has another record where it ends")
	}
	return snap, nil
}

// saveDue saves partitions that have folded many records since the last time,
// until the context ends, and then all.
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

// save writes the partitions that have folded so many records since they were
// last written.
func (ss *StateStore) save(records int64) {
	for i, pt := range ss.partitions {
		data, next, err := pt.snapshot(ss, int32(i), records)
		if err == nil && data != nil {
			err = writeFile(ss.Snapshots.file(int32(i)), data)
		}
		if err != nil {
			ss.logger.Warn("can't save a snapshot of the ledger; the next start folds more of the log", "partition", i, "error", err)
			continue
		}
		if data != nil {
			pt.mu.Lock()
			pt.saved = next
			pt.mu.Unlock()
		}
	}
}

// snapshot encodes a partition, or returns nil if it isn't due. Meanwhile the
// partition stands still, for about a microsecond a user.
func (pt *partition) snapshot(ss *StateStore, partition int32, records int64) ([]byte, int64, error) {
	pt.mu.Lock()
	defer pt.mu.Unlock()
	if pt.next-pt.saved < records {
		return nil, 0, nil
	}
	s := snapshot{
		EventsID: ss.Snapshots.EventsID, Fold: ss.registry.FoldVersion(), Partitions: int32(len(ss.partitions)), Partition: partition,
		Next: pt.next, Last: pt.last, Remember: ss.remember, streams: pt.streams,
	}
	data, err := s.encode(ss.registry)
	return data, pt.next, err
}

// writeFile writes a file whole, or not at all: another process may read it,
// or write it too.
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
