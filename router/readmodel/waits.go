package readmodel

import (
	"container/heap"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

const (
	// pollFirst and pollLast are how long the poller of a read model waits
	// before it looks again: longer each time that nothing has moved.
	pollFirst = 4 * time.Millisecond
	pollLast  = 64 * time.Millisecond
	// localFor is how long after its last batch a partition is taken to be
	// folded by this process, which wakes waiters by itself.
	localFor = time.Second
)

// Waits are those who wait, in this process, for read models to come to a
// place in the log. The engines of this process wake them. For what other
// processes fold, one poller for each read model asks the store, as long as
// anybody waits: so a waiter costs no more than its goroutine. The zero value
// is ready to use.
type Waits struct {
	mu     sync.Mutex
	models map[*projection.Projection]*ModelWaits
}

// Of are those who wait for one read model.
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

// Moved says that an engine of this process has moved a checkpoint.
func (w *Waits) Moved(store Store, p *projection.Projection, to Checkpoint) {
	if w == nil {
		return
	}
	m := w.Of(store, p)
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.partition(to.Partition)
	at.moved = time.Now()
	m.wake(at, to.Next)
	if at.commands > 0 {
		m.hasten()
	}
}

// ModelWaits are those who wait for one read model.
type ModelWaits struct {
	store      Store
	Projection *projection.Projection

	mu         sync.Mutex
	partitions map[int32]*partitionWaits
	commands   map[*commandWaiter]bool
	waiting    int // all of them
	polling    bool
	hurry      chan struct{} // the poller is to look soon
}

// partitionWaits are those who wait for one partition, who needs least first.
type partitionWaits struct {
	next  int64     // how far it is known to be
	moved time.Time // when this process moved it last
	heap  waiters

	commands int // how many are waited for
}

func (m *ModelWaits) partition(n int32) *partitionWaits {
	at := m.partitions[n]
	if at == nil {
		at = new(partitionWaits)
		m.partitions[n] = at
	}
	return at
}

// wake takes in how far a partition is, and wakes who waited for that.
func (m *ModelWaits) wake(at *partitionWaits, next int64) {
	at.next = max(at.next, next)
	for len(at.heap) > 0 && at.heap[0].next <= at.next {
		first, _ := heap.Pop(&at.heap).(*waiter)
		m.waiting--
		select {
		case first.woken <- struct{}{}:
		default: // by another partition
		}
	}
}

// Seen takes in checkpoints that were read, and says whether any was new.
// Those who had been told more than there is were told of another generation
// of the tables, which is no longer the live one.
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

// Await waits until a partition is known to have come to next, the context
// ends, or the service stops.
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

// AwaitMove waits until any partition of a position is known to be past it.
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

// leave is for one that may have been woken.
func (m *ModelWaits) leave(at *partitionWaits, w *waiter) {
	if w.index >= 0 {
		heap.Remove(&at.heap, w.index)
		m.waiting--
	}
}

// AwaitCommand waits until a command is known to be decided in its stream, or
// the stream to be parked, the context ends, or the service stops.
func (m *ModelWaits) AwaitCommand(ctx context.Context, stopping <-chan struct{}, c *eventlog.SentCommand) bool {
	w := &commandWaiter{command: c, woken: make(chan struct{})}
	m.mu.Lock()
	at := m.partition(c.Partition)
	at.commands++
	m.commands[w] = true
	m.look(at)
	m.mu.Unlock()
	return m.woken(ctx, stopping, w.woken, func() {
		m.forget(w)
		m.waiting--
	})
}

func (m *ModelWaits) forget(w *commandWaiter) {
	delete(m.commands, w)
	m.partition(w.command.Partition).commands--
	m.tidy(w.command.Partition)
}

// tidy forgets a partition that nobody waits for, and of which nothing is
// known: clients can name partitions that don't exist, each time another.
func (m *ModelWaits) tidy(n int32) {
	if at := m.partitions[n]; at != nil && len(at.heap) == 0 && at.commands == 0 && at.next == 0 && at.moved.IsZero() {
		delete(m.partitions, n)
	}
}

// look has the store looked at for somebody who came to wait: soon, if no
// engine of this process wakes them.
func (m *ModelWaits) look(at *partitionWaits) {
	m.waiting++
	if !m.polling {
		m.polling = true
		go m.poll()
	} else if time.Since(at.moved) > localFor {
		m.hasten()
	}
}

func (m *ModelWaits) hasten() {
	select {
	case m.hurry <- struct{}{}:
	default:
	}
}

// woken waits to be woken, and leaves otherwise.
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

// poll asks the store how far the read model is, until nobody waits.
func (m *ModelWaits) poll() {
	pause := pollFirst
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-m.hurry:
			if pause > pollFirst { // or it is about to look
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
		// One that can't be read is asked for again: those who wait know how
		// long they want to.
		if moved, err := m.ask(); err == nil && moved {
			pause = pollFirst
		} else {
			pause = min(pause*3/2, pollLast)
		}
		timer.Reset(pause)
	}
}

// ask reads checkpoints, and the heads of those streams that are waited for.
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
	m.decided(heads)
	return m.Seen(checkpoints, false), nil
}

// streams are those of the commands that are waited for.
func (m *ModelWaits) streams() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := make(map[string]bool, len(m.commands))
	for w := range m.commands {
		seen[w.command.Stream] = true
	}
	return slices.Collect(maps.Keys(seen))
}

// decided takes in heads, and wakes who waits for their commands.
func (m *ModelWaits) decided(heads map[string]StreamHead) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for w := range m.commands {
		head := heads[w.command.Stream]
		if head.Parked != "" || head.HasDecided(w.command.CommandPosition) {
			m.forget(w)
			m.waiting--
			close(w.woken)
		}
	}
}

// commandWaiter waits for a command to be decided.
type commandWaiter struct {
	command *eventlog.SentCommand
	woken   chan struct{}
}

// waiter waits for a partition to come to next.
type waiter struct {
	next  int64
	woken chan struct{} // of 1
	index int           // in the heap, -1 if it isn't
}

// waiters implements [heap.Interface].
type waiters []*waiter

func (h waiters) Len() int           { return len(h) }
func (h waiters) Less(i, j int) bool { return h[i].next < h[j].next }
func (h waiters) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements [heap.Interface].
func (h *waiters) Push(x any) {
	w, _ := x.(*waiter)
	w.index = len(*h)
	*h = append(*h, w)
}

// Pop implements [heap.Interface].
func (h *waiters) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	w.index = -1
	(*h)[last] = nil
	*h = (*h)[:last]
	return w
}
