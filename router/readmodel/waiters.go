package readmodel

import "github.com/millrace/millrace/router/eventlog"

// commandWaiter waits for the outcome of a command.
type commandWaiter struct {
	command *eventlog.SentCommand
	woken   chan struct{}
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
