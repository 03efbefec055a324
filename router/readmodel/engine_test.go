package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
)

func TestRowsAreTheFoldOfWhatTheGateAccepts(t *testing.T) {
	luck := rand.New(rand.NewPCG(1, 2))
	w, want, counts := new(writer), map[string]string{}, map[string]int{}
	for i := range 500 {
		id := fmt.Sprint("u", luck.IntN(20))
		switch {
		case counts[id] == 0:
			w.created(id, "new")
			counts[id], want[id] = 1, "new 1"
		case luck.IntN(5) == 0:
			w.zombie(id)
		case luck.IntN(9) == 0:
			w.write(eventlog.TypeCommandRefused, order(id), "{}")
		default:
			w.renamed(id, fmt.Sprint("n", i))
			counts[id]++
			want[id] = fmt.Sprintf("n%d %d", i, counts[id])
		}
	}
	p := names(new(atomic.Bool))
	store := memory(t)
	m, start := join(t, store, w, p)
	if start != 0 {
		t.Errorf("a new read model starts at %d", start)
	}
	m.takeAll(w.records)
	m.Cleanup(m.assignment)
	if diff := cmp.Diff(want, rows(t, store, p)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if m.marked.Load() != int64(len(w.records)) {
		t.Errorf("marked %d of %d", m.marked.Load(), len(w.records))
	}
	if m.folded.Load() != int64(len(w.records)) {
		t.Errorf("told of %d of %d", m.folded.Load(), len(w.records))
	}
	_, start = join(t, store, w, p)
	if start != int64(len(w.records)) {
		t.Errorf("the next owner starts at %d of %d", start, len(w.records))
	}
}

func TestAStreamThatCantBeAppliedIsParkedAlone(t *testing.T) {
	for _, name := range []string{"broken", "panics"} {
		t.Run(name, func(t *testing.T) {
			w := new(writer)
			w.created("good", "a")
			w.created("bad", "a")
			w.renamed("bad", name)
			w.renamed("good", "b")
			w.renamed("bad", "c")
			p, store := names(new(atomic.Bool)), memory(t)
			m, _ := join(t, store, w, p)
			m.takeAll(w.records)
			m.Cleanup(m.assignment)
			if diff := cmp.Diff(map[string]string{"good": "b 2", "bad": "a 1"}, rows(t, store, p)); diff != "" {
				t.Errorf("rows (-want +got):\n%s", diff)
			}
			err := store.View(t.Context(), p, func(v readmodel.View) error {
				head, err := v.Head(t.Context(), order("bad"))
				if head.Seq != 1 || !strings.Contains(head.Parked, "can't be applied") || head.ParkedOffset != 2 {
					t.Errorf("head %+v", head)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestABodyThatCantBeReadParksItsStream(t *testing.T) {
	w := new(writer)
	w.created("good", "a")
	w.write("orderPlaced", order("bad"), `{"id":`)
	w.write("somethingNew", order("newer"), `{}`)
	w.created("also good", "a")
	p, store := names(new(atomic.Bool)), memory(t)
	m, _ := join(t, store, w, p)
	m.takeAll(w.records)
	m.Cleanup(m.assignment)
	if diff := cmp.Diff(map[string]string{"good": "a 1", "also good": "a 1"}, rows(t, store, p)); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}

func TestAZombiesBatchChangesNothing(t *testing.T) {
	w := new(writer)
	for i := range 25 {
		w.created(fmt.Sprint("u", i), "a")
	}
	p, store := names(new(atomic.Bool)), memory(t)
	zombie, _ := join(t, store, w, p)
	owner, _ := join(t, store, w, p)
	owner.takeAll(w.records)
	owner.Cleanup(owner.assignment)
	before := rows(t, store, p)
	zombie.takeAll(w.records[:5])
	select {
	case <-zombie.assignment.Abandoned():
	case <-time.After(10 * time.Second):
		t.Fatal("the zombie did not find out")
	}
	zombie.Cleanup(zombie.assignment)
	if diff := cmp.Diff(before, rows(t, store, p)); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
}

// awayStore fails the first updates, in turn before the transaction and within.
type awayStore struct {
	*sqlstore.Store
	mu    sync.Mutex
	fails int
}

func (s *awayStore) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	s.mu.Lock()
	fails := s.fails
	s.fails--
	s.mu.Unlock()
	switch {
	case fails > 0 && fails%2 == 0:
		return errors.New("away")
	case fails > 0:
		return s.Store.Update(ctx, p, moves, ahead, func(tx readmodel.Tx) error {
			return errors.Join(fn(tx), errors.New("away at the end"))
		})
	default:
		return s.Store.Update(ctx, p, moves, ahead, fn)
	}
}

func TestAStoreThatIsAwayIsWaitedFor(t *testing.T) {
	w := new(writer)
	for i := range 30 {
		w.created(fmt.Sprint("u", i), "a")
	}
	p := names(new(atomic.Bool))
	store := &awayStore{Store: memory(t), fails: 3}
	m, _ := join(t, store, w, p)
	m.takeAll(w.records)
	m.Cleanup(m.assignment)
	if got := len(rows(t, store, p)); got != 30 {
		t.Errorf("%d rows of 30", got)
	}
}

func TestALogThatIsNotTheCheckpointsStopsTheReadModel(t *testing.T) {
	w := new(writer)
	for i := range 20 {
		w.created(fmt.Sprint("u", i), "a")
	}
	p, store := names(new(atomic.Bool)), memory(t)
	m, _ := join(t, store, w, p)
	m.takeAll(w.records)
	m.Cleanup(m.assignment)

	for name, log := range map[string]*writer{
		"lost its tail": {records: w.records[:10]},
		"another digest": func() *writer {
			other := new(writer)
			for i := range 20 {
				other.created(fmt.Sprint("v", i), "a")
			}
			return other
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			e := &readmodel.Engine{Projection: p, Store: store, Log: log, Events: orders.Registry, Partitions: 1, BatchSize: 10, Logger: slog.New(slog.DiscardHandler)}
			_, err := e.Setup(kafka.NewAssignment(t.Context(), 0, func(int64) {}))
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want something about: %s", err, name)
			}
		})
	}
}

func TestHeadsKnowTheLastDecidedCommand(t *testing.T) {
	w := new(writer)
	for i, at := range []eventlog.CommandPosition{
		{TopicID: "first", Offset: 7}, {TopicID: "first", Offset: 9},
		{TopicID: "first", Offset: 3}, // deferred until now
		{TopicID: "second", Offset: 1},
	} {
		w.created("u", fmt.Sprint("n", i))
		r := &w.records[i]
		r.CommandPosition = at
		r.Seal()
		w.heads[order("u")] = eventlog.Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}
	}
	p, store := names(new(atomic.Bool)), memory(t)
	fold := func(records []eventlog.Record) (head readmodel.StreamHead) {
		m, _ := join(t, store, w, p)
		m.takeAll(records)
		m.Cleanup(m.assignment)
		err := store.View(t.Context(), p, func(v readmodel.View) (err error) {
			head, err = v.Head(t.Context(), order("u"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return head
	}
	head := fold(w.records[:3])
	for at, want := range map[eventlog.CommandPosition]bool{
		{TopicID: "first", Offset: 9}: true, {TopicID: "first", Offset: 8}: true, {TopicID: "first", Offset: 10}: false,
		{TopicID: "second"}: false, {}: false,
	} {
		if got := head.HasDecided(at); got != want {
			t.Errorf("%s is decided: %t", at, got)
		}
	}
	if head = fold(w.records[3:]); !head.HasDecided(eventlog.CommandPosition{TopicID: "second", Offset: 1}) {
		t.Errorf("after the topic was made anew: %+v", head)
	}
}

// A command that waits for a claim is decided with its end, and so are the
// commands behind the command.
func TestACommandIsDecidedBehindItsClaim(t *testing.T) {
	w := new(writer)
	for _, record := range []struct {
		recordType, body string
		offset           int64
	}{
		{"orderPlaced", `{"id":"u","name":"n"}`, 4},
		{eventlog.TypeCommandClaiming, `{"reason":"claim"}`, 5},
		{eventlog.TypeCommandQueued, `{"reason":"behind-claim"}`, 6},
		{eventlog.TypeClaimAnswered, `{}`, 7},
		{"orderRenamed", `{"id":"u","name":"m"}`, 5},
		{eventlog.TypeCommandUnchanged, `{}`, 6},
	} {
		r := w.write(record.recordType, order("u"), record.body)
		r.CommandPosition = eventlog.CommandPosition{TopicID: "t", Offset: record.offset}
		r.Seal()
		w.records[len(w.records)-1] = *r
		w.heads[order("u")] = eventlog.Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}
	}
	p, store := names(new(atomic.Bool)), memory(t)
	for n, want := range []int64{4, 4, 4, 4, 5, 6} {
		m, _ := join(t, store, w, p)
		m.takeAll(w.records[n : n+1])
		m.Cleanup(m.assignment)
		err := store.View(t.Context(), p, func(v readmodel.View) error {
			head, err := v.Head(t.Context(), order("u"))
			if head.Decided.Offset != want || head.Seq != uint64(n+1) {
				t.Errorf("behind record %d: %+v, want offset %d", n, head, want)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// When a partition is revoked, the checkpoint stands behind a record only if
// every earlier record is folded.
func TestNothingIsLeftOutWhenAPartitionGoes(t *testing.T) {
	w := new(writer)
	for i := range 50 {
		w.renamed("a", fmt.Sprint("n", i))
	}
	p, store := names(new(atomic.Bool)), memory(t)
	m, _ := join(t, store, w, p)
	ctx, takeAway := context.WithCancel(t.Context())
	m.assignment = kafka.NewAssignment(ctx, 0, m.marked.Store)
	if _, err := m.Setup(m.assignment); err != nil {
		t.Fatal(err)
	}
	m.takeAll(w.records[:5])
	takeAway()
	m.takeAll(w.records[5:])
	m.Cleanup(m.assignment)
	checkpoints, err := store.Checkpoints(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, store, p)["a"]; checkpoints[0].Next < 5 || !strings.HasSuffix(got, fmt.Sprint(" ", checkpoints[0].Next)) {
		t.Errorf("the checkpoint is at %d, and the row is %q", checkpoints[0].Next, got)
	}
}
