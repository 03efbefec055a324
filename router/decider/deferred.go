package decider

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/decider/keys"
)

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

	firstChanged bool // since the last batch
	bytes        int  // an estimate for first and own
}

// newDeferredQueue makes a queue of commands, nil for no commands.
func newDeferredQueue(deferred []deferredCommand) *deferredQueue {
	if len(deferred) == 0 {
		return nil
	}
	q := &deferredQueue{first: deferred[0], own: deferred[1:]}
	for i := range deferred {
		q.bytes += deferred[i].size()
	}
	return q
}

// size is an estimate of the queue's bytes.
func (q *deferredQueue) size() int {
	if q == nil {
		return 0
	}
	return q.bytes
}

func (d *deferredCommand) size() int {
	return 400 + len(d.Body) + len(d.Reason) + len(d.Stack) + len(d.ID) + len(d.Hash)
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
		return &deferredQueue{first: d, bytes: d.size()}
	}
	q.own = append(q.own, d)
	q.bytes += d.size()
	return q
}

// next takes the first command off the queue. The result is nil for an empty
// queue.
func (q *deferredQueue) next() *deferredQueue {
	q.bytes -= q.first.size()
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

// readQueue reads the deferred commands of a stream.
func (p *processor) readQueue(name string, s *stream, count uint64) error {
	from := keys.Numbered(nil, p.partition, keys.Deferred, name, s.deferredEnd-count)
	to := keys.Numbered(nil, p.partition, keys.Deferred, name, s.deferredEnd)
	var all []deferredCommand
	if err := p.disk.Scan(from, to, func(_, value []byte) error {
		d, err := readDeferred(value)
		all = append(all, d)
		return err
	}); err != nil {
		return err
	}
	if uint64(len(all)) != count {
		return fmt.Errorf("%w: %d deferred commands of %d", errValue, len(all), count)
	}
	s.deferred = newDeferredQueue(all)
	return nil
}

// waitingMark is the value of the index of streams with deferred commands.
type waitingMark byte

const (
	noneWaits     waitingMark = iota
	waitsOnlyHere             // the commands go on, here or with another binary
	waitsForHelp              // the commands wait for an operator
)

func (s *stream) waitingMark() waitingMark {
	switch {
	case s.deferred == nil:
		return noneWaits
	case s.parked:
		return waitsForHelp
	default:
		return waitsOnlyHere
	}
}

// deferringAtOnce bounds the names that are read from the index at a time.
const deferringAtOnce = 256

var errEnough = errors.New("enough")

// eachDeferring calls fn under the processor's lock for each stream that has
// deferred commands during the call, except for streams that wait for an
// operator if parked is false. fn may be called twice for a stream.
func (p *processor) eachDeferring(parked bool, fn func(*cachedStream)) error {
	wanted := func(mark waitingMark) bool { return mark == waitsOnlyHere || parked && mark == waitsForHelp }
	// Streams in memory first: what is not on disk yet is in memory until a batch
	// has it.
	p.mu.Lock()
	var names []string
	for c := range p.notOnDisk() {
		if c.stream != nil && wanted(c.stream.waitingMark()) {
			names = append(names, c.name)
		}
	}
	onDisk := p.disk != nil && p.opened
	p.mu.Unlock()
	if err := p.eachNamed(names, fn); err != nil || !onDisk {
		return err
	}
	prefix := keys.Prefix(nil, p.partition, keys.Waiting)
	for from, to := prefix, keys.Behind(prefix); from != nil; {
		var names []string
		start := from
		from = nil
		err := p.disk.Scan(start, to, func(key, value []byte) error {
			if len(names) == deferringAtOnce {
				from = slices.Clone(key)
				return errEnough
			}
			if len(value) == 1 && wanted(waitingMark(value[0])) {
				names = append(names, string(key[len(prefix):]))
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return err
		}
		if err := p.eachNamed(names, fn); err != nil {
			return err
		}
	}
	return nil
}

func (p *processor) eachNamed(names []string, fn func(*cachedStream)) error {
	for _, name := range names {
		c, err := p.hold(name, "")
		if err != nil {
			return err
		}
		if c.stream != nil && c.stream.deferred != nil {
			fn(c)
		}
		p.letGo(c)
	}
	return nil
}
