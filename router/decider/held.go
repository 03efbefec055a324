package decider

import "slices"

// heldQueue is the held commands of a stream, at least one. Many may wait, so
// what is done for each command costs the same, however many do: the first is
// changed and taken off, others come behind, and a stack starts with all of
// them.
type heldQueue struct {
	first heldCommand
	// shared are those that a stack has in common with the ledger's stream,
	// which has none there. They are never changed, nor added to.
	shared []heldCommand
	own    []heldCommand // behind those
}

// newHeldQueue is a queue of these commands, nil if there are none.
func newHeldQueue(held []heldCommand) *heldQueue {
	if len(held) == 0 {
		return nil
	}
	return &heldQueue{first: held[0], own: held[1:]}
}

// copied is what a stack goes on from, if q is the ledger's.
func (q *heldQueue) copied() *heldQueue {
	if q == nil {
		return nil
	}
	return &heldQueue{first: q.first, shared: q.own}
}

func (q *heldQueue) len() int {
	if q == nil {
		return 0
	}
	return 1 + len(q.shared) + len(q.own)
}

// all are the commands, in order, in a slice of their own.
func (q *heldQueue) all() []heldCommand {
	if q == nil {
		return nil
	}
	return slices.Concat([]heldCommand{q.first}, q.shared, q.own)
}

// with is the queue with one more at its end.
func (q *heldQueue) with(h heldCommand) *heldQueue {
	if q == nil {
		return &heldQueue{first: h}
	}
	q.own = append(q.own, h)
	return q
}

// next is the queue without the first, nil if none is left.
func (q *heldQueue) next() *heldQueue {
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
