package decider

import "slices"

// deferredQueue is the deferred commands of a stream, at least one. The cost of
// a step doesn't depend on the number of deferred commands: the first command
// changes and leaves, other commands come behind, and a speculation begins
// with all of the queue.
type deferredQueue struct {
	first deferredCommand
	// shared holds the deferred commands that a speculation shares with the
	// stream of the state store, unchanged. In the state store's stream, shared
	// is empty.
	shared []deferredCommand
	own    []deferredCommand // behind shared
}

// newDeferredQueue makes a queue of commands, nil for no commands.
func newDeferredQueue(deferred []deferredCommand) *deferredQueue {
	if len(deferred) == 0 {
		return nil
	}
	return &deferredQueue{first: deferred[0], own: deferred[1:]}
}

// copied is a queue for a speculation. q must be the queue of the state store's
// stream.
func (q *deferredQueue) copied() *deferredQueue {
	if q == nil {
		return nil
	}
	return &deferredQueue{first: q.first, shared: q.own}
}

func (q *deferredQueue) len() int {
	if q == nil {
		return 0
	}
	return 1 + len(q.shared) + len(q.own)
}

// all returns the commands in order, in a new slice.
func (q *deferredQueue) all() []deferredCommand {
	if q == nil {
		return nil
	}
	return slices.Concat([]deferredCommand{q.first}, q.shared, q.own)
}

// with adds a command at the end of the queue.
func (q *deferredQueue) with(d deferredCommand) *deferredQueue {
	if q == nil {
		return &deferredQueue{first: d}
	}
	q.own = append(q.own, d)
	return q
}

// next takes the first command off the queue. The result is nil for an empty
// queue.
func (q *deferredQueue) next() *deferredQueue {
	switch {
	case len(q.shared) > 0:
		q.first, q.shared = q.shared[0], q.shared[1:]
	case len(q.own) > 0:
		q.first, q.own = q.own[0], q.own[1:]
	default:
		return nil
	}
	return q
}
