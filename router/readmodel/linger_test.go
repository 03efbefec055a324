package readmodel_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// timedStore takes a given time for each update, and notes when each began.
type timedStore struct {
	awayWith
	started time.Time
	takes   []time.Duration
	began   []time.Duration
}

func (s *timedStore) Update(ctx context.Context, p *projection.Projection, moves []readmodel.Move, ahead func() readmodel.Ahead, fn func(readmodel.Tx) error) error {
	s.mu.Lock()
	takes := s.takes[len(s.began)]
	s.began = append(s.began, time.Since(s.started))
	s.mu.Unlock()
	time.Sleep(takes)
	return s.awayWith.Update(ctx, p, moves, ahead, fn)
}

// A batch gathers for the usual duration of a batch, for Linger at
// most, and not at all after a quiet while. A batch that stalls makes no other
// batch wait longer.
func TestLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		log := newPartitioned(1, 7)
		store := &timedStore{
			awayWith: awayWith{partition: -1, next: map[int32]int64{}},
			started:  time.Now(), takes: []time.Duration{3 * ms, 3 * ms, 300 * ms, 3 * ms, 30 * ms, ms, ms},
		}
		g := joinAll(t, store, log, names(new(atomic.Bool)))
		g.Linger = 20 * ms
		for i, at := range []time.Duration{0, 4 * ms, 10 * ms, 314 * ms, 319 * ms, 352 * ms, 900 * ms} {
			time.Sleep(at - time.Since(store.started))
			g.Take(log[0].records[i])
		}
		time.Sleep(time.Second)
		g.leave()
		store.mu.Lock()
		defer store.mu.Unlock()
		want := []time.Duration{
			0,
			3*ms + 3*ms,   // gathers
			9*ms + 3*ms,   // gathers, and stalls
			312*ms + 3*ms, // as before the stall
			318*ms + 3*ms, // takes 30 ms
			351*ms + 3*ms, // the usual duration is still 3 ms
			900 * ms,
		}
		if diff := cmp.Diff(want, store.began); diff != "" {
			t.Errorf("updates began (-want +got):\n%s", diff)
		}
	})
}

// While nobody waits for the read model, records gather. The first who waits ends
// that, and meanwhile no record gathers.
func TestRecordsGatherWhileNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		log, p := newPartitioned(1, 10), names(new(atomic.Bool))
		store := &timedStore{
			awayWith: awayWith{partition: -1, next: map[int32]int64{}},
			started:  time.Now(), takes: make([]time.Duration, len(log[0].records)),
		}
		store.takes[6] = 4 * ms
		waits := new(readmodel.Waits)
		g := joinAll(t, store, log, p, func(e *readmodel.Engine) { e.Linger, e.Gather, e.Waits = 20*ms, 5*ms, waits })
		var waiting sync.WaitGroup
		sleepTo := func(at time.Duration) { time.Sleep(at - time.Since(store.started)) }
		await := func(from, to time.Duration) { // for a record that never comes
			waiting.Go(func() {
				sleepTo(from)
				ctx, cancel := context.WithTimeout(t.Context(), to-from)
				defer cancel()
				waits.Of(store, p).Await(ctx, nil, 0, 1000)
			})
		}
		await(202*ms, 210*ms)
		await(298*ms, 310*ms)
		await(606*ms, 620*ms)
		waiting.Go(func() {
			sleepTo(401 * ms)
			g.Visible(t.Context(), 0, 6)
		})
		for i, at := range []time.Duration{
			100 * ms, 103 * ms, 104 * ms, // gather
			200 * ms, // until somebody waits
			300 * ms, // while somebody waits
			305 * ms,
			400 * ms, // until somebody waits in another way
			500 * ms, // nobody waits any more
			599 * ms, // takes 4 ms, from 604 ms on
			607 * ms, // somebody waits: after a batch of one record at once
		} {
			sleepTo(at)
			g.Take(log[0].records[i])
		}
		waiting.Wait()
		time.Sleep(time.Second)
		g.leave()
		store.mu.Lock()
		defer store.mu.Unlock()
		want := []time.Duration{105 * ms, 202 * ms, 300 * ms, 305 * ms, 401 * ms, 505 * ms, 604 * ms, 608 * ms}
		if diff := cmp.Diff(want, store.began); diff != "" {
			t.Errorf("updates began (-want +got):\n%s", diff)
		}
	})
}

// Linger limits Gather.
func TestGatherIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newPartitioned(1, 1)
		store := &timedStore{awayWith: awayWith{partition: -1, next: map[int32]int64{}}, started: time.Now(), takes: make([]time.Duration, 1)}
		g := joinAll(t, store, log, names(new(atomic.Bool)), func(e *readmodel.Engine) { e.Gather = 5 * time.Millisecond })
		g.Take(log[0].records[0])
		time.Sleep(time.Second)
		g.leave()
		if diff := cmp.Diff([]time.Duration{time.Millisecond}, store.began); diff != "" {
			t.Errorf("updates began (-want +got):\n%s", diff)
		}
	})
}
