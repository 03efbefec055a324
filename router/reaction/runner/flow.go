package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/strict"
)

// errMoved says that a flow must read from another offset on.
var errMoved = errors.New("the flow goes on elsewhere")

// flow is an open stream of causes that goes on: the causes that the main flow
// has passed over are answered in turn.
type flow struct {
	stream string
	next   int64 // all causes of the stream before are answered
	stop   context.CancelFunc
}

// mainFlow answers the records from next on, other than those of open streams.
func (r *run) mainFlow(ctx context.Context) {
	for try := 1; ; try++ {
		r.mu.Lock()
		reading, stop := context.WithCancel(ctx)
		from, moves := r.next, r.moves
		r.stopMain = stop
		r.mu.Unlock()
		came := false
		err := r.Log.Follow(reading, r.partition, from, func(records []eventlog.Record) error {
			came = true
			return r.answerAll(reading, records, moves)
		})
		if reading.Err() != nil && ctx.Err() == nil {
			err = errMoved
		}
		stop()
		if came {
			try = 1
		}
		if r.retry(ctx, "a reaction can't read the log; trying again", try, err) != nil {
			return
		}
	}
}

// answerAll answers records of the main flow.
func (r *run) answerAll(ctx context.Context, records []eventlog.Record, moves int) error {
	counting, err := r.States.Counting(ctx, records)
	if err != nil {
		return err
	}
	current := func() bool { return r.moves == moves }
	for i := range counting {
		c := &counting[i]
		turn := func() bool { return true }
		passes := func() bool { return r.known.Waits(c.Stream, c.Offset) }
		if err := r.answer(ctx, c, current, turn, passes, func() { r.next = c.Offset + 1 }); err != nil {
			return err
		}
	}
	return r.moveTo(current, func() { r.next = records[len(records)-1].Offset + 1 })
}

// goOn answers the causes of an open stream, as far as the main flow is: a cause
// ahead of the main flow would move a target's fence over causes that the main
// flow has not come to.
func (r *run) goOn(ctx context.Context, f *flow) {
	for try := 1; ; try++ {
		r.mu.Lock()
		from := f.next
		r.mu.Unlock()
		err := r.Log.Follow(ctx, r.partition, from, func(records []eventlog.Record) error {
			try = 1
			return r.answerGoing(ctx, f, records)
		})
		if r.retry(ctx, "a reaction can't read the log; trying again", try, err) != nil {
			return
		}
	}
}

func (r *run) answerGoing(ctx context.Context, f *flow, records []eventlog.Record) error {
	own := slices.DeleteFunc(slices.Clone(records), func(c eventlog.Record) bool { return c.Stream != f.stream })
	counting, err := r.States.Counting(ctx, own)
	if err != nil {
		return err
	}
	current := func() bool { return r.going[f.stream] == f }
	passes := func() bool { return false }
	for i := range counting {
		c := &counting[i]
		turn := func() bool { return c.Offset < r.next }
		if err := r.answer(ctx, c, current, turn, passes, func() { f.next = c.Offset + 1 }); err != nil {
			return err
		}
	}
	return r.moveTo(current, func() { f.next = records[len(records)-1].Offset + 1 })
}

// moveTo moves a flow, unless the flow goes on elsewhere.
func (r *run) moveTo(current func() bool, move func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !current() {
		return errMoved
	}
	move()
	r.change()
	return nil
}

// answer asks the reaction about a record that counts, puts the commands into
// the window, and moves the flow. If the reaction fails, answer parks the record,
// and looks again: the flow passes over a parked record, and over a record that
// another process has answered by now. While answer waits,
// everything may change.
func (r *run) answer(ctx context.Context, c *eventlog.Record, current, turn, passes func() bool, move func()) error {
	envelopes, failure := r.ask(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	for try := 1; ; {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !current():
			return errMoved
		case !turn(): // asked under the lock of put: the main flow may go back
			if err := r.wait(ctx); err != nil {
				return err
			}
		case len(envelopes) == 0 && failure == nil, passes(), failure != nil && r.known.Answered(c.Stream, c.Offset):
			move()
			return nil
		case !r.known.Started:
			r.mu.Unlock()
			err := r.start(ctx)
			r.mu.Lock()
			if err != nil {
				return err
			}
		case failure != nil:
			r.mu.Unlock()
			err := r.retry(ctx, "can't park a record in a reaction; trying again", try, r.park(ctx, c, failure))
			r.mu.Lock()
			if err != nil {
				return err
			}
			try++
		case r.window.size >= cmp.Or(r.most, maxJobs):
			if err := r.wait(ctx); err != nil {
				return err
			}
		default:
			r.put(c, envelopes)
			move()
			return nil
		}
	}
}

// put puts the commands of a record into the window.
func (r *run) put(c *eventlog.Record, envelopes []eventlog.Envelope) {
	open := r.known.Names()
	for n, e := range envelopes {
		r.fill(&e, c, n+1, open)
		r.window.add(&job{envelope: e, subject: c.Stream, offset: c.Offset})
	}
	r.answered = max(r.answered, c.Offset)
}

// fill sets what the runner sets in the n-th command of a record. A time that has
// passed is no wait: the record may be older than any wait may be long.
func (r *run) fill(e *eventlog.Envelope, c *eventlog.Record, n int, open []string) {
	e.Origin = &eventlog.Origin{
		Reaction: r.reaction.Name,
		Cause:    eventlog.Cause{TopicID: r.TopicID, Partition: r.partition, Offset: c.Offset, N: n},
		Subject:  c.Stream, Depth: r.depthOf(c), Open: open,
	}
	e.ID = e.Origin.CommandID()
	e.Hash, e.Time, e.Trace = e.ID, r.now(), c.Trace
	if !e.NotBefore.After(e.Time) {
		e.NotBefore = time.Time{}
	}
}

// ask asks the reaction for the commands of a record. A command that would go to
// the dead letters is an error.
func (r *run) ask(ctx context.Context, c *eventlog.Record) (envelopes []eventlog.Envelope, err error) {
	defer func() {
		if value := recover(); value != nil { // one record must not end the process
			envelopes, err = nil, fmt.Errorf("the reaction panicked: %v", value)
		}
	}()
	envelopes, err = r.reaction.React(c)
	if err == nil && len(envelopes) > 0 && r.depthOf(c) > eventlog.MaxDepth {
		return nil, r.tooDeep(ctx, c)
	}
	for n, e := range envelopes {
		r.fill(&e, c, n+1, nil)
		if err := strict.CheckEnvelope(&e); err != nil {
			return nil, fmt.Errorf("command %d: %s: %w", n, e.Type, err)
		}
	}
	return envelopes, err
}
