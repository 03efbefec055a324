package readmodel_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

// partitionedLog is a log of several partitions. Records may come while the log
// is read.
type partitionedLog struct {
	mu         sync.Mutex
	partitions []writer
	grown      chan struct{} // closed and replaced at each write
}

func newLog(partitions int) *partitionedLog {
	return &partitionedLog{partitions: make([]writer, partitions), grown: make(chan struct{})}
}

func (l *partitionedLog) write(recordType, stream, body string) *eventlog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	partition := eventlog.PartitionOf(stream, int32(len(l.partitions)))
	r := l.partitions[partition].write(recordType, stream, body)
	r.Partition = partition
	close(l.grown)
	l.grown = make(chan struct{})
	return r
}

func (l *partitionedLog) created(id, name string) {
	l.write("orderPlaced", order(id), fmt.Sprintf(`{"id":%q,"name":%q}`, id, name))
}

func (l *partitionedLog) renamed(id, name string) {
	l.write("orderRenamed", order(id), fmt.Sprintf(`{"id":%q,"name":%q}`, id, name))
}

func (l *partitionedLog) zombie(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	partition := eventlog.PartitionOf(order(id), int32(len(l.partitions)))
	w := &l.partitions[partition]
	w.zombie(id)
	w.records[len(w.records)-1].Partition = partition
}

func (l *partitionedLog) records(partition int32) ([]eventlog.Record, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.partitions[partition].records), l.grown
}

func (l *partitionedLog) End(_ context.Context, partition int32) (int64, error) {
	records, _ := l.records(partition)
	return int64(len(records)), nil
}

func (l *partitionedLog) At(_ context.Context, partition int32, offset int64) (eventlog.Record, error) {
	records, _ := l.records(partition)
	return records[offset], nil
}

func (l *partitionedLog) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	some := make([]eventlog.Record, 7) // fn must not keep the slice
	for {
		records, grown := l.records(partition)
		for from < int64(len(records)) {
			some = some[:copy(some[:cap(some)], records[from:])]
			if err := fn(some); err != nil {
				return err
			}
			from += int64(len(some))
			clear(some)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// catchUp folds the log to its end.
func (l *partitionedLog) catchUp(t *testing.T, store readmodel.Store, p *projection.Projection) {
	t.Helper()
	n := int32(len(l.partitions))
	if err := store.Prepare(t.Context(), p, n); err != nil {
		t.Fatal(err)
	}
	e := &readmodel.Engine{Projection: p, Store: store, Log: l, Events: orders.Registry, Partitions: n, BatchSize: 10, Logger: slog.New(slog.DiscardHandler)}
	for partition := range n {
		assignment := kafka.NewAssignment(t.Context(), partition, func(int64) {})
		start, err := e.Setup(assignment)
		if err != nil {
			t.Fatal(err)
		}
		records, _ := l.records(partition)
		for _, r := range records[start:] {
			e.Take(r)
		}
		e.Cleanup(assignment)
	}
}
