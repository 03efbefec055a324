package decider

import "slices"

// deferredQueue is the held commands of a stream, at least one. Many may wait, so
// what is done for each command costs the same, however many do: the first is
// changed and taken off, others come behind, and a stack starts with all of
// them.
type deferredQueue struct {
	first deferredCommand
	// shared are those that a stack has in common with the ledger's stream,
	// which has none there. They are never changed, nor added to.
	shared []deferredCommand
	own    []deferredCommand // behind those
}

// newDeferredQueue is a queue of these commands, nil if there are none.
func newDeferredQueue(deferred []deferredCommand) *deferredQueue {
	if len(deferred) == 0 {
		return nil
	}
	return &deferredQueue{first: deferred[0], own: deferred[1:]}
}

// copied is what a stack goes on from, if q is the ledger's.
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

// all are the commands, in order, in a slice of their own.
func (q *deferredQueue) all() []deferredCommand {
	if q == nil {
		return nil
	}
	return slices.Concat([]deferredCommand{q.first}, q.shared, q.own)
}

// with is the queue with one more at its end.
func (q *deferredQueue) with(d deferredCommand) *deferredQueue {
	if q == nil {
		return &deferredQueue{first: d}
	}
	q.own = append(q.own, d)
	return q
}

// next is the queue without the first, nil if none is left.
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
