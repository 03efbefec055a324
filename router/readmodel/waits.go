package readmodel

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

const (
	// pollFirst and pollLast are the shortest and the longest pause of a
	// poller. The pause grows while no checkpoint moves.
	pollFirst = 4 * time.Millisecond
	pollLast  = 64 * time.Millisecond
	// pollOwned is the pause of a poller while all waiters wait for partitions
	// of this process. The engines wake these waiters; the poller sees repairs
	// of other processes.
	pollOwned = 250 * time.Millisecond
)

// Waits are the goroutines of this process that wait for read models to reach a
// position. The engines of this process wake the waiters. For partitions of
// other processes, a poller for each read model asks the store while there are
// waiters. So a waiter costs no more than a goroutine. The zero value is ready
// for use.
type Waits struct {
	mu     sync.Mutex
	models map[*projection.Projection]*ModelWaits
}

// Of returns the waiters of a read model.
func (w *Waits) Of(store Store, p *projection.Projection) *ModelWaits {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.models[p]
	if m == nil {
		m = &ModelWaits{store: store, Projection: p, partitions: map[int32]*partitionWaits{}, commands: map[*commandWaiter]bool{}, hurry: make(chan struct{}, 1)}
		if w.models == nil {
			w.models = map[*projection.Projection]*ModelWaits{}
		}
		w.models[p] = m
	}
	return m
}

// own notes whether this process has the assignment of a partition.
func (w *Waits) own(store Store, p *projection.Projection, partition int32, owned bool) {
	if w == nil {
		return
	}
	m := w.Of(store, p)
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.partition(partition)
	at.owned, at.last = owned, eventlog.CommandPosition{}
	if !owned && m.polling {
		m.hasten()
	}
}

// folded reports a committed batch of an engine of this process: the records, the
// checkpoints and the heads.
func (w *Waits) folded(store Store, p *projection.Projection, entries []entry, moves []Move, f *fold) {
	if w == nil || f == nil {
		return
	}
	m := w.Of(store, p)
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range entries {
		at := m.partition(entries[i].Partition)
		if c := entries[i].CommandPosition; c.TopicID != at.last.TopicID || c.Offset > at.last.Offset {
			at.last = c
		}
	}
	next := make(eventlog.Position, len(moves))
	for i := range moves {
		to := &moves[i].To
		next[to.Partition] = to.Next
		m.wake(m.partition(to.Partition), to.Next)
	}
	m.decided(next, func(stream string) (head StreamHead) {
		if s := f.streams[stream]; s != nil {
			head = s.at
		}
		return head
	})
}

// Moved reports that an engine of this process has moved a checkpoint in another
// way than by a batch.
func (w *Waits) Moved(store Store, p *projection.Projection, to Checkpoint) {
	if w == nil {
		return
	}
	m := w.Of(store, p)
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.partition(to.Partition)
	m.wake(at, to.Next)
	if at.commands > 0 {
		m.hasten()
	}
}

// ModelWaits are the waiters of a read model.
type ModelWaits struct {
	store      Store
	Projection *projection.Projection

	mu         sync.Mutex
	partitions map[int32]*partitionWaits
	commands   map[*commandWaiter]bool
	waiting    int   // number of waiters, for offsets and for commands
	asked      asked // is told of waiters
	polling    bool
	hurry      chan struct{} // asks for an early poll
}

// partitionWaits are the waiters of a partition, ordered by offset.
type partitionWaits struct {
	next  int64 // the highest known checkpoint
	owned bool  // this process has the assignment
	heap  waiters

	commands int // number of commands with waiters
	// last is the last command among the records folded since the assignment.
	last eventlog.CommandPosition
}

func (m *ModelWaits) partition(n int32) *partitionWaits {
	at := m.partitions[n]
	if at == nil {
		at = new(partitionWaits)
		m.partitions[n] = at
	}
	return at
}

// wake notes a checkpoint, and wakes the waiters of offsets up to the
// checkpoint.
func (m *ModelWaits) wake(at *partitionWaits, next int64) {
	at.next = max(at.next, next)
	for len(at.heap) > 0 && at.heap[0].next <= at.next {
		first, _ := heap.Pop(&at.heap).(*waiter)
		m.count(-1)
		select {
		case first.woken <- struct{}{}:
		default: // another partition has woken the waiter
		}
	}
}

// Seen notes checkpoints from the store, and says whether a checkpoint was new.
// With instead, the checkpoints replace higher known checkpoints: these were of
// a generation that is no longer live.
func (m *ModelWaits) Seen(checkpoints []Checkpoint, instead bool) (moved bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range checkpoints {
		at := m.partition(c.Partition)
		if instead {
			at.next = c.Next
		}
		moved = moved || c.Next > at.next
		m.wake(at, c.Next)
	}
	return moved
}

// Await waits until a partition's checkpoint has reached next, the context
// ends, or the service stops. The result is true if next is reached.
func (m *ModelWaits) Await(ctx context.Context, stopping <-chan struct{}, partition int32, next int64) bool {
	m.mu.Lock()
	at := m.partition(partition)
	if at.next >= next {
		m.mu.Unlock()
		return true
	}
	w := &waiter{next: next, woken: make(chan struct{}, 1)}
	heap.Push(&at.heap, w)
	m.look(at)
	m.mu.Unlock()
	return m.woken(ctx, stopping, w.woken, func() {
		m.leave(at, w)
		m.tidy(partition)
	})
}

// AwaitMove waits until any partition is past its offset in the position. The
// result is false if the context ends or the service stops before.
func (m *ModelWaits) AwaitMove(ctx context.Context, stopping <-chan struct{}, past eventlog.Position) bool {
	woken := make(chan struct{}, 1)
	waits := make(map[*partitionWaits]*waiter, len(past))
	m.mu.Lock()
	for partition, next := range past {
		at := m.partition(partition)
		waits[at] = &waiter{next: next + 1, woken: woken}
		heap.Push(&at.heap, waits[at])
		m.look(at)
		m.wake(at, at.next)
	}
	m.mu.Unlock()
	leave := func() {
		for at, w := range waits {
			m.leave(at, w)
		}
	}
	if !m.woken(ctx, stopping, woken, leave) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	leave()
	return true
}

// leave removes a waiter, unless the waiter was woken before.
func (m *ModelWaits) leave(at *partitionWaits, w *waiter) {
	if w.index >= 0 {
		heap.Remove(&at.heap, w.index)
		m.count(-1)
	}
}

// tidy forgets an unknown partition without waiters: clients can name
// partitions that don't exist, another one each time.
func (m *ModelWaits) tidy(n int32) {
	if at := m.partitions[n]; at != nil && len(at.heap) == 0 && at.commands == 0 && at.next == 0 && !at.owned {
		delete(m.partitions, n)
	}
}

// look starts the poller for a new waiter. A running poller polls early unless
// this process owns the partition.
func (m *ModelWaits) look(at *partitionWaits) {
	m.count(1)
	if !m.polling {
		m.polling = true
		go m.poll()
	} else if !at.owned {
		m.hasten()
	}
}

// count counts n more waiters, or fewer.
func (m *ModelWaits) count(n int) {
	m.waiting += n
	m.asked.add(n)
}

// foreign says whether there are waiters for partitions of other processes.
func (m *ModelWaits) foreign() bool {
	for _, at := range m.partitions {
		if !at.owned && (len(at.heap) > 0 || at.commands > 0) {
			return true
		}
	}
	return false
}

func (m *ModelWaits) hasten() {
	select {
	case m.hurry <- struct{}{}:
	default:
	}
}

// woken waits for woken, and calls leave if the context ends or the service
// stops before.
func (m *ModelWaits) woken(ctx context.Context, stopping, woken <-chan struct{}, leave func()) bool {
	select {
	case <-woken:
		return true
	case <-ctx.Done():
	case <-stopping:
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-woken:
		return true
	default:
	}
	leave()
	return false
}

// poll asks the store for checkpoints, until there are no waiters.
func (m *ModelWaits) poll() {
	pause := m.pause(pollFirst)
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-m.hurry:
			if pause > pollFirst { // otherwise the next poll is near
				pause = pollFirst
				timer.Reset(pause)
			}
			continue
		}
		m.mu.Lock()
		m.polling = m.waiting > 0
		polling := m.polling
		m.mu.Unlock()
		if !polling {
			return
		}
		// After an error poll tries again: every waiter has a deadline of its
		// own.
		if moved, err := m.ask(); err == nil && moved {
			pause = m.pause(pollFirst)
		} else {
			pause = m.pause(min(max(pause, pollFirst)*3/2, pollLast))
		}
		timer.Reset(pause)
	}
}

// pause is the pause before a poll: other, or longer if all waiters wait for
// partitions of this process.
func (m *ModelWaits) pause(other time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting > 0 && !m.foreign() {
		return pollOwned
	}
	return other
}

// ask reads the checkpoints, and the heads of streams with awaited commands.
func (m *ModelWaits) ask() (moved bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), ReadTimeout)
	defer cancel()
	var checkpoints []Checkpoint
	var heads map[string]StreamHead
	streams := m.streams()
	err = m.store.View(ctx, m.Projection, func(view View) (err error) {
		if checkpoints, err = view.Checkpoints(ctx); err != nil || len(streams) == 0 {
			return err
		}
		heads, err = view.Heads(ctx, streams)
		return err
	})
	if err != nil {
		return false, err
	}
	m.mu.Lock()
	m.decided(PositionOf(checkpoints), func(stream string) StreamHead { return heads[stream] })
	m.mu.Unlock()
	return m.Seen(checkpoints, false), nil
}
