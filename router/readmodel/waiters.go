package readmodel

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// commandWaiter waits for the outcome of a command.
type commandWaiter struct {
	command *eventlog.SentCommand
	woken   chan struct{}
	next    int64 // once woken: the checkpoint that includes the outcome, 0 if unknown
}

// AwaitCommand waits until a command is decided, the command's stream is
// parked, the context ends, or the service stops. decided is true in the first
// two cases. If the partition is past seen, the checkpoint of the caller's last
// view, AwaitCommand doesn't wait, and moved is true: the command may be decided
// since. A read model with a checkpoint of at least next includes the command's
// outcome; next is 0 if unknown.
func (m *ModelWaits) AwaitCommand(ctx context.Context, stopping <-chan struct{}, c *eventlog.SentCommand, seen int64) (next int64, decided, moved bool) {
	m.mu.Lock()
	at := m.partition(c.Partition)
	if at.next > seen {
		m.mu.Unlock()
		return 0, false, true
	}
	next, decided = m.awaitOutcome(ctx, stopping, c, at)
	return next, decided, false
}

// AwaitNew is [ModelWaits.AwaitCommand] for a command that is probably not
// decided yet: a command newer than all commands whose outcomes an engine of this
// process has folded. For any other command, AwaitNew doesn't wait.
func (m *ModelWaits) AwaitNew(ctx context.Context, stopping <-chan struct{}, c *eventlog.SentCommand, patience time.Duration) (next int64, decided bool) {
	m.mu.Lock()
	at := m.partitions[c.Partition]
	if at == nil || !at.owned || c.TopicID != at.last.TopicID || c.Offset <= at.last.Offset {
		m.mu.Unlock()
		return 0, false
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return m.awaitOutcome(ctx, stopping, c, at)
}

// awaitOutcome waits for a command, and unlocks m.
func (m *ModelWaits) awaitOutcome(ctx context.Context, stopping <-chan struct{}, c *eventlog.SentCommand, at *partitionWaits) (next int64, decided bool) {
	w := &commandWaiter{command: c, woken: make(chan struct{})}
	at.commands++
	m.commands[w] = true
	m.look(at)
	m.mu.Unlock()
	decided = m.woken(ctx, stopping, w.woken, func() {
		m.forget(w)
		m.count(-1)
	})
	return w.next, decided
}

func (m *ModelWaits) forget(w *commandWaiter) {
	delete(m.commands, w)
	m.partition(w.command.Partition).commands--
	m.tidy(w.command.Partition)
}

// streams returns the streams of the awaited commands.
func (m *ModelWaits) streams() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := make(map[string]bool, len(m.commands))
	for w := range m.commands {
		seen[w.command.Stream] = true
	}
	return slices.Collect(maps.Keys(seen))
}

// decided notes heads as of these checkpoints, and wakes the waiters of decided
// commands.
func (m *ModelWaits) decided(next eventlog.Position, headOf func(stream string) StreamHead) {
	for w := range m.commands {
		head := headOf(w.command.Stream)
		if head.Parked == "" && !head.HasDecided(w.command.CommandPosition) {
			continue
		}
		if head.Parked == "" {
			w.next = next[w.command.Partition]
		}
		m.forget(w)
		m.count(-1)
		close(w.woken)
	}
}

// waiter waits for a partition to reach next.
type waiter struct {
	next  int64
	woken chan struct{} // buffered: 1
	index int           // in the heap; -1 once removed
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
