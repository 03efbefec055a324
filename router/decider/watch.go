package decider

import (
	"context"
	"slices"

	"github.com/millrace/millrace/router/eventlog"
)

// waitingFor is a command whose outcomes somebody waits for.
type waitingFor struct{ stream, commandID string }

// waiter gets a command's outcomes from the fold. The fold calls tell under
// the processor's lock, so tell must not wait. The result says whether the
// waiter wants more outcomes.
type waiter struct {
	tell   func(Outcome) (more bool)
	cached *cachedStream // pinned
}

// Watch is a wait for a command's outcomes, without polling.
type Watch struct {
	// C receives the outcomes as the state store folds them. The first outcome
	// is there at once if the state store has an outcome already. A command that
	// was parked or queued gets another outcome later.
	C <-chan Outcome

	processor *processor
	who       waitingFor
	waiter    *waiter
}

// Watch waits for the outcomes of a command. The caller must close the Watch.
func (ss *StateStore) Watch(streamName, commandID string) *Watch {
	c := make(chan Outcome, 8) // parked, requeued, parked again, …
	w := ss.wait(streamName, commandID, func(o Outcome) bool {
		select {
		case c <- o:
		default: // nobody has read for long
		}
		return true
	})
	w.C = c
	return w
}

// Expect calls decided once, when the command has an outcome of any kind.
// decided must not wait.
func (ss *StateStore) Expect(streamName, commandID string, decided func()) *Watch {
	return ss.wait(streamName, commandID, func(Outcome) bool {
		decided()
		return false
	})
}

func (ss *StateStore) wait(streamName, commandID string, tell func(Outcome) bool) *Watch {
	p := ss.processorOf(streamName)
	w := &Watch{processor: p, who: waitingFor{streamName, commandID}, waiter: &waiter{tell: tell}}
	c, err := p.hold(streamName, commandID)
	if err != nil {
		p.broken(err) // and nobody tells the waiter
		return w
	}
	defer p.letGo(c)
	if o, ok := c.stream.outcome(commandID); ok && !tell(o) {
		return w
	}
	w.waiter.cached = p.pin(streamName)
	p.waiting[w.who] = append(p.waiting[w.who], w.waiter)
	return w
}

// Await waits for the first outcome of a command that the state store knows, or
// until the context ends.
func (ss *StateStore) Await(ctx context.Context, streamName, commandID string) (Outcome, error) {
	w := ss.Watch(streamName, commandID)
	defer w.Close()
	select {
	case o := <-w.C:
		return o, nil
	case <-ctx.Done():
		return Outcome{}, ctx.Err()
	}
}

// Outcome returns the outcome of a command, if the state store knows the
// outcome.
func (ss *StateStore) Outcome(streamName, commandID string) (Outcome, bool) {
	p := ss.processorOf(streamName)
	c, err := p.hold(streamName, commandID)
	if err != nil {
		p.broken(err)
		return Outcome{}, false
	}
	defer p.letGo(c)
	return c.stream.outcome(commandID)
}

// Repeats reports whether a stream knows a reaction's command: such a command
// would leave no record. An error says that the disk can't be trusted.
func (ss *StateStore) Repeats(streamName string, o *eventlog.Origin) (bool, error) {
	p := ss.processorOf(streamName)
	c, err := p.hold(streamName, "")
	if err != nil {
		p.broken(err)
		return false, err
	}
	defer p.letGo(c)
	return c.stream != nil && c.stream.fences.Repeats(o), nil
}

// Waiting counts the waits for outcomes.
func (ss *StateStore) Waiting() (n int) {
	for _, p := range ss.processors {
		p.mu.Lock()
		for _, of := range p.waiting {
			n += len(of)
		}
		p.mu.Unlock()
	}
	return n
}

// Close ends the wait. The result says whether the wait was still on: the wait
// of Expect ends with the outcome.
func (w *Watch) Close() bool {
	p := w.processor
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.waiting[w.who], w.waiter)
	if i < 0 {
		return false
	}
	p.setWaiting(w.who, slices.Delete(p.waiting[w.who], i, i+1))
	p.unpin(w.waiter.cached)
	return true
}

// tell hands an outcome to all waiters of a command.
func (p *processor) tell(who waitingFor, o Outcome) {
	if waiting := p.waiting[who]; len(waiting) > 0 {
		p.setWaiting(who, slices.DeleteFunc(waiting, func(w *waiter) bool {
			if w.tell(o) {
				return false
			}
			p.unpin(w.cached)
			return true
		}))
	}
}

func (p *processor) setWaiting(who waitingFor, waiting []*waiter) {
	if len(waiting) == 0 {
		delete(p.waiting, who)
		return
	}
	p.waiting[who] = waiting
}

// StreamState is a stream's state after a record.
type StreamState struct {
	Version uint64
	// State is the aggregate's state, nil for the zero value.
	State any
	// Unreadable says why this binary can't read the stream, nil if it can.
	Unreadable error
}

// follower is told of each new state of a stream.
type follower struct{ tell func(StreamState) }

// Follow tells of a stream's state: at once, and then after each event of the
// stream, in order, until stop is called. Follow calls tell while the fold
// waits, so tell must not wait. The stream stays in memory.
func (ss *StateStore) Follow(streamName string, tell func(StreamState)) (stop func()) {
	p := ss.processorOf(streamName)
	c, err := p.hold(streamName, "")
	if err != nil {
		p.broken(err) // and nobody is told
		return func() {}
	}
	defer p.letGo(c)
	f := &follower{tell}
	tell(c.stream.told())
	p.pin(streamName)
	c.followers = append(c.followers, f)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		c.followers = slices.DeleteFunc(c.followers, func(other *follower) bool { return other == f })
		p.unpin(c)
	}
}

// told is the stream's state, as followers are told.
func (s *stream) told() StreamState {
	if s == nil {
		return StreamState{}
	}
	return StreamState{s.head.Version, s.state, s.unreadable}
}

// FoldedTo is the offset of the first record of a partition that the state store
// has not folded.
func (ss *StateStore) FoldedTo(partition int32) int64 { return ss.processors[partition].folded.Next() }
