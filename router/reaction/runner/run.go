package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/reaction/checkpoint"
)

// run is one reaction in one partition, as long as the consumer group gives the
// partition to this process.
type run struct {
	*Runner
	reaction  Reaction
	partition int32
	id        string // of the reaction's own stream
	stream    string

	toldMu sync.Mutex // leaf: taken by the fold
	told   []decider.StreamState
	wake   chan struct{} // told has more

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of the fields below
	opened  chan struct{} // a stream goes on
	// known and version are the reaction's own stream, as far as this process has
	// read. Every command names the open streams that are known.
	known    checkpoint.State
	version  uint64
	broken   error // why this binary can't run the reaction
	next     int64 // the next cause of the main flow
	answered int64 // the last cause with commands
	moves    int   // how often next went back
	stopMain context.CancelFunc
	going    map[string]*flow // the open streams that go on
	window   window
	noting   bool
	full     bool // waits for an open stream to be closed
	ending   bool // no flow begins any more
	flows    sync.WaitGroup
	reading  context.Context // of the flows
	stopRead context.CancelFunc
}

func newRun(of *Runner, reaction Reaction, partition int32) *run {
	return &run{
		Runner: of, reaction: reaction, partition: partition,
		id: checkpoint.ID(reaction.Name, partition), stream: checkpoint.Stream(reaction.Name, partition),
		wake: make(chan struct{}, 1), changed: make(chan struct{}), opened: make(chan struct{}, 1),
		answered: -1, stopMain: func() {}, going: map[string]*flow{}, window: newWindow(),
	}
}

// change wakes whoever waits for a change.
func (r *run) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// wait waits for a change. The caller holds the lock.
func (r *run) wait(ctx context.Context) error {
	changed := r.changed
	r.mu.Unlock()
	defer r.mu.Lock()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits until something is true.
func (r *run) await(ctx context.Context, is func() bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !is() {
		if err := r.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tell takes a state of the reaction's own stream. The fold waits meanwhile.
func (r *run) tell(s decider.StreamState) {
	r.toldMu.Lock()
	defer r.toldMu.Unlock()
	r.told = append(r.told, s)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// absorbAll takes in the states of the reaction's own stream until the context
// ends.
func (r *run) absorbAll(ctx context.Context) {
	for {
		select {
		case <-r.wake:
			r.absorb()
		case <-ctx.Done():
			return
		}
	}
}

// absorb takes in the states that were told, one after the other.
func (r *run) absorb() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.toldMu.Lock()
	told := r.told
	r.told = nil
	r.toldMu.Unlock()
	for _, s := range told {
		now, ok := s.State.(checkpoint.State)
		if s.Unreadable == nil && (ok || s.State == nil) {
			r.read(now, s.Version)
		} else {
			r.broken = errors.Join(fmt.Errorf("this binary can't read stream %s", r.stream), s.Unreadable)
			r.stopRead()
		}
	}
	if len(told) > 0 {
		r.change()
	}
}

// read takes in the state after a record of the reaction's own stream.
func (r *run) read(now checkpoint.State, version uint64) {
	before := r.known
	r.known, r.version = now, version
	if !before.Started {
		r.next = max(r.next, now.Next)
	}
	for stream := range before.Open {
		if _, open := now.Open[stream]; !open {
			r.stopFlow(stream)
			// The main flow has passed over causes behind the noted place.
			if now.Next < r.next {
				r.next = now.Next
				r.moves++
				r.stopMain()
			}
		}
	}
	for stream, is := range now.Open {
		switch was, open := before.Open[stream]; {
		case is.Parked:
			r.stopFlow(stream)
		case open && !was.Parked && r.going[stream] != nil:
			r.going[stream].next = max(r.going[stream].next, is.From)
		default:
			r.goFrom(stream, is.From)
		}
	}
}

// goFrom begins to answer the causes of an open stream.
func (r *run) goFrom(stream string, from int64) {
	if r.ending {
		return
	}
	ctx, stop := context.WithCancel(r.reading)
	f := &flow{stream, from, stop}
	r.going[stream] = f
	r.flows.Go(func() { r.goOn(ctx, f) })
	select {
	case r.opened <- struct{}{}:
	default:
	}
}

func (r *run) stopFlow(stream string) {
	if f := r.going[stream]; f != nil {
		f.stop()
		delete(r.going, stream)
	}
}
