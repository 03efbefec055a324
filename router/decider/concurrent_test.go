package decider

import (
	"context"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/statestore"
)

// Partitions fold, clients look outcomes up, and batches are written, all at the same
// time on one disk that loses power now and then: no stream and no outcome is lost.
func TestConcurrentUseOfTheDisk(t *testing.T) {
	const partitions, remember = 3, 20
	luck := rand.New(rand.NewPCG(67, 0))
	var logs [partitions][]eventlog.Record
	for i := range logs {
		logs[i] = randomLog(t, uint64(i), 1500, remember)
	}
	for disk, crashes := vfs.NewCrashableMem(), 0; ; crashes++ {
		store, err := statestore.Open(statestore.Options{Dir: "state", FS: disk, Log: slog.New(slog.DiscardHandler)})
		noError(err)
		ss := NewStateStore(nil, registry, partitions, remember, slog.New(slog.DiscardHandler))
		ss.KeepOn(slowDisk{store}, 1<<20, nil)
		was, metas, err := ss.readMeta()
		if err == nil && was == nil {
			err = ss.writeMeta(t.Context(), ss.metaNow())
		}
		noError(err)
		for i, p := range ss.processors {
			p.open(&metas[i])
		}
		c := concurrent{ss: ss, logs: logs[:]}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range partitions {
			all.Go(func() { c.fold(ctx, i) })
			all.Go(func() { c.lookUp(ctx, i) })
		}
		done := c.write(ctx, store, 3+luck.IntN(15))
		after := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: luck.IntN(101), RNG: luck})
		cancel()
		all.Wait()
		select {
		case err := <-ss.broken:
			t.Fatalf("the disk is broken: %v", err)
		default:
		}
		if done {
			for i, p := range ss.processors {
				wantSame(t, p, folded(t, inPartition(logs[i], p.partition), remember))
			}
			noError(store.Close())
			t.Logf("%d crashes", crashes)
			return
		}
		noError(store.Close())
		disk = after
	}
}

// inPartition are the records as records of a partition.
func inPartition(records []eventlog.Record, partition int32) []eventlog.Record {
	records = slices.Clone(records)
	for i := range records {
		records[i].Partition = partition
	}
	return records
}

// slowDisk is a disk that lets the folds go on while a batch is written.
type slowDisk struct{ *statestore.Store }

func (d slowDisk) Write(changes iter.Seq2[[]byte, []byte]) error {
	time.Sleep(2 * time.Millisecond)
	return d.Store.Write(changes)
}

type concurrent struct {
	ss   *StateStore
	logs [][]eventlog.Record
}

func (c concurrent) fold(ctx context.Context, i int) {
	luck, p := rand.New(rand.NewPCG(uint64(i), 1)), c.ss.processors[i]
	for records := inPartition(c.logs[i], int32(i)); p.awaitRoom(ctx) == nil && ctx.Err() == nil; {
		rest := records[p.folded.Next():]
		if len(rest) == 0 {
			return
		}
		if err := p.fold(rest[:min(len(rest), 1+luck.IntN(20))]); err != nil {
			p.broken(err)
			return
		}
		time.Sleep(time.Duration(luck.IntN(500)) * time.Microsecond) // the log comes bit by bit
	}
}

// lookUp looks up commands around the end of the fold, as commands that come again do.
func (c concurrent) lookUp(ctx context.Context, i int) {
	luck, p, records := rand.New(rand.NewPCG(uint64(i), 2)), c.ss.processors[i], c.logs[i]
	for ctx.Err() == nil {
		r := &records[max(0, min(len(records), int(p.folded.Next())+5)-1-luck.IntN(100))]
		s, err := p.hold(r.Stream, r.CommandID)
		if err != nil {
			p.broken(err)
			return
		}
		s.stream.outcome(r.CommandID)
		p.letGo(s)
		time.Sleep(time.Duration(luck.IntN(50)) * time.Microsecond) // the others take turns
	}
}

// write writes so many batches, or until all is folded and written.
func (c concurrent) write(ctx context.Context, store *statestore.Store, batches int) (done bool) {
	for n := range batches {
		select {
		case <-c.ss.due:
		case <-time.After(time.Millisecond):
		}
		written, err := c.ss.writeBatch(ctx)
		noError(err)
		if n%4 == 0 {
			noError(store.Flush())
		}
		done = !written
		for i, p := range c.ss.processors {
			done = done && p.folded.Next() == int64(len(c.logs[i]))
		}
		if done {
			return true
		}
	}
	return false
}
