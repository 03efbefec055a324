package decider

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// partedLog is topic events with records in one of many partitions.
type partedLog struct {
	*fakeLog
	partition int32

	mu   sync.Mutex
	read []int32
}

func (l *partedLog) End(ctx context.Context, partition int32) (int64, error) {
	if partition != l.partition {
		return 1, nil // nobody hands the record over: a wait for it never ends
	}
	return l.fakeLog.End(ctx, partition)
}

func (l *partedLog) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	l.mu.Lock()
	l.read = append(l.read, partition)
	l.mu.Unlock()
	if partition != l.partition {
		<-ctx.Done()
		return ctx.Err()
	}
	return l.fakeLog.Follow(ctx, partition, from, fn)
}

// A look at one stream reads the stream's partition, waits for no other, and
// counts no other's records.
func TestFoldOnly(t *testing.T) {
	t.Parallel()
	const name, partitions = "user/u", 12
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("createUser", "u", "Ann", "one"))
	s.drain()
	s.stop()
	parted := &partedLog{fakeLog: log, partition: eventlog.PartitionOf(name, partitions)}
	ss := NewStateStore(parted, registry, partitions, 128, slog.New(slog.DiscardHandler))
	ss.FoldOnly(name)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	var folding sync.WaitGroup
	folding.Go(func() {
		if err := ss.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer folding.Wait()
	defer stop()
	if err := ss.CatchUpAll(ctx); err != nil {
		t.Fatal(err)
	}
	if o, known := ss.Outcome(name, "one"); !known || o.Kind != Succeeded {
		t.Errorf("the outcome is %v, %v", o, known)
	}
	if folded, all, err := ss.Progress(ctx); folded != 1 || all != 1 || err != nil {
		t.Errorf("folded are %d of %d records: %v", folded, all, err)
	}
	parted.mu.Lock()
	defer parted.mu.Unlock()
	if !slices.Equal(parted.read, []int32{parted.partition}) {
		t.Errorf("partitions %v were read, want %d", parted.read, parted.partition)
	}
}
