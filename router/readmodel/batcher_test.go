package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
)

// partitioned is a log of several partitions.
type partitioned []*writer

// newPartitioned returns a log with n placed orders in each partition. Order
// "0/3" is the fourth order of partition 0.
func newPartitioned(partitions, n int) partitioned {
	var log partitioned
	for partition := range partitions {
		w := new(writer)
		for i := range n {
			w.created(fmt.Sprintf("%d/%d", partition, i), "a")
			w.records[i].Partition = int32(partition)
		}
		log = append(log, w)
	}
	return log
}

func (l partitioned) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	return l[partition].Follow(ctx, partition, from, fn)
}

func (l partitioned) End(ctx context.Context, partition int32) (int64, error) {
	return l[partition].End(ctx, partition)
}

func (l partitioned) At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error) {
	return l[partition].At(ctx, partition, offset)
}

// group is an engine with assignments of all partitions.
type group struct {
	*readmodel.Engine
	assignments []*kafka.Assignment
	marked      []atomic.Int64
}

func joinAll(t *testing.T, store readmodel.Store, log partitioned, p *projection.Projection, set ...func(*readmodel.Engine)) *group {
	t.Helper()
	g := &group{
		Engine: &readmodel.Engine{
			Projection: p, Store: store, Log: log, Events: orders.Registry, Partitions: int32(len(log)), BatchSize: 10, Linger: time.Millisecond,
			Logger: slog.New(slog.DiscardHandler),
		},
		marked: make([]atomic.Int64, len(log)),
	}
	for _, set := range set {
		set(g.Engine)
	}
	for partition := range log {
		assignment := kafka.NewAssignment(t.Context(), int32(partition), g.marked[partition].Store)
		if _, err := g.Setup(assignment); err != nil {
			t.Fatal(err)
		}
		g.assignments = append(g.assignments, assignment)
	}
	return g
}

// leave revokes all assignments at once, as the end of a session does.
func (g *group) leave() {
	var cleanups sync.WaitGroup
	for _, assignment := range g.assignments {
		cleanups.Go(func() { g.Cleanup(assignment) })
	}
	cleanups.Wait()
}

// gatedStore reports the start of each update, and waits for a signal.
type gatedStore struct {
	readmodel.Store
	began   chan []readmodel.Move
	proceed chan struct{}
}

func (s *gatedStore) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	s.began <- moves
	<-s.proceed
	return s.Store.Update(ctx, p, moves, ahead, fn)
}

func TestWhatComesMeanwhileIsOneTransaction(t *testing.T) {
	log := newPartitioned(3, 3)
	p := names(new(atomic.Bool))
	store := &gatedStore{memory(t), make(chan []readmodel.Move, 1), make(chan struct{}, 10)}
	if err := store.Prepare(t.Context(), p, 3); err != nil {
		t.Fatal(err)
	}
	g := joinAll(t, store, log, p)
	g.Take(log[1].records[0])
	if first := <-store.began; len(first) != 1 || first[0].To.Next != 1 {
		t.Errorf("the first one, alone: %v", first)
	}
	for i := range 3 {
		for partition := range log {
			if i > 0 || partition != 1 {
				g.Take(log[partition].records[i])
			}
		}
	}
	close(store.proceed)
	next := map[int32]int64{}
	for _, move := range <-store.began {
		next[move.From.Partition] = move.To.Next
	}
	if diff := cmp.Diff(map[int32]int64{0: 3, 1: 3, 2: 3}, next); diff != "" {
		t.Errorf("the others (-want +got):\n%s", diff)
	}
	g.leave()
	if got := len(rows(t, store, p)); got != 9 {
		t.Errorf("%d rows of 9", got)
	}
	for partition := range log {
		if got := g.marked[partition].Load(); got != 3 {
			t.Errorf("partition %d is marked at %d", partition, got)
		}
	}
}

func TestAPartitionThatMovedElsewhereDropsOutAlone(t *testing.T) {
	log := newPartitioned(3, 30)
	p, store := names(new(atomic.Bool)), memory(t)
	if err := store.Prepare(t.Context(), p, 3); err != nil {
		t.Fatal(err)
	}
	zombie, owner := joinAll(t, store, log, p), joinAll(t, store, log, p)
	for _, r := range log[1].records {
		owner.Take(r)
	}
	owner.leave()

	for i := range 30 {
		for partition := range log {
			zombie.Take(log[partition].records[i])
		}
	}
	select {
	case <-zombie.assignments[1].Abandoned():
	case <-time.After(10 * time.Second):
		t.Fatal("the zombie did not find out")
	}
	zombie.leave()
	for _, partition := range []int{0, 2} {
		select {
		case <-zombie.assignments[partition].Abandoned():
			t.Errorf("partition %d is abandoned", partition)
		default:
		}
		if got := zombie.marked[partition].Load(); got != 30 {
			t.Errorf("partition %d is marked at %d", partition, got)
		}
	}
	if got := zombie.marked[1].Load(); got != 0 {
		t.Errorf("the zombie has marked partition 1 at %d", got)
	}
	want := map[string]string{}
	for partition := range 3 {
		for i := range 30 {
			want[fmt.Sprintf("%d/%d", partition, i)] = "a 1"
		}
	}
	if diff := cmp.Diff(want, rows(t, store, p)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestAPartitionComesAndGoes(t *testing.T) {
	log := newPartitioned(2, 40)
	p, store := names(new(atomic.Bool)), memory(t)
	if err := store.Prepare(t.Context(), p, 2); err != nil {
		t.Fatal(err)
	}
	for round := range 4 { // each round is another process
		g := joinAll(t, store, log, p)
		for partition := range log {
			for _, r := range log[partition].records[round*10 : round*10+10] {
				g.Take(r)
			}
		}
		g.leave()
		for partition := range log {
			if got, want := g.marked[partition].Load(), int64(round*10+10); got != want {
				t.Errorf("round %d: partition %d is marked at %d", round, partition, got)
			}
		}
	}
	if got := len(rows(t, store, p)); got != 80 {
		t.Errorf("%d rows of 80", got)
	}
}

// swappedStore reports a checkpoint of an older generation for partition 1.
type swappedStore struct{ *awayWith }

func (swappedStore) Checkpoints(context.Context, *projection.Projection) ([]readmodel.Checkpoint, error) {
	return []readmodel.Checkpoint{{Partition: 0, Generation: 2}, {Partition: 1, Generation: 1}, {Partition: 2, Generation: 2}}, nil
}

func TestAnAssignmentOfTheGenerationBeforeDropsOutAlone(t *testing.T) {
	log := newPartitioned(3, 4)
	store := swappedStore{&awayWith{partition: -1, next: map[int32]int64{}}}
	g := joinAll(t, store, log, names(new(atomic.Bool)))
	store.busy = make(chan struct{}) // so that all records are in one batch
	for i := range 4 {
		for partition := range log {
			g.Take(log[partition].records[i])
		}
	}
	close(store.busy)
	g.leave()
	if store.next[0] != 4 || store.next[2] != 4 {
		t.Errorf("the others are at %v", store.next)
	}
	select {
	case <-g.assignments[1].Abandoned():
	default:
		t.Error("it goes on")
	}
}

// awayWith is a store that can't be reached for updates of one partition.
type awayWith struct {
	readmodel.Store
	partition int32
	busy      chan struct{} // if not nil, updates wait for the close
	mu        sync.Mutex
	next      map[int32]int64
}

func (s *awayWith) Checkpoints(context.Context, *projection.Projection) ([]readmodel.Checkpoint, error) {
	return []readmodel.Checkpoint{{Partition: 0}, {Partition: 1}, {Partition: 2}}, nil
}

func (s *awayWith) Update(ctx context.Context, _ *projection.Projection, moves []readmodel.Move, _ func() readmodel.Ahead, _ func(readmodel.Tx) error) error {
	for _, move := range moves {
		if move.From.Partition == s.partition {
			<-ctx.Done()
			return errors.New("away")
		}
	}
	if s.busy != nil {
		<-s.busy
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, move := range moves {
		s.next[move.From.Partition] = move.To.Next
	}
	return nil
}

func TestAPartitionThatGoesWaitsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newPartitioned(3, 4)
		store := &awayWith{partition: 1, next: map[int32]int64{}}
		g := joinAll(t, store, log, names(new(atomic.Bool)))
		for i := range 4 {
			for partition := range log {
				g.Take(log[partition].records[i])
			}
		}
		began := time.Now()
		g.Cleanup(g.assignments[1])
		if took := time.Since(began); took != readmodel.FlushTimeout {
			t.Errorf("it took %v", took)
		}
		g.Cleanup(g.assignments[0])
		g.Cleanup(g.assignments[2])
		if diff := cmp.Diff(map[int32]int64{0: 4, 2: 4}, store.next); diff != "" {
			t.Errorf("the others (-want +got):\n%s", diff)
		}
		if got := g.marked[1].Load(); got != 0 {
			t.Errorf("it is marked at %d", got)
		}
	})
}
