package decider

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/observe"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// MaxUnderWay bounds the commands of one partition that are under way.
	MaxUnderWay = 1024
	// maxDeferredInProcessor bounds the deferred commands of one partition that
	// are under way besides. Each stream may have one in any case.
	maxDeferredInProcessor = 256
)

// assigned is one assignment of a partition: the commands of the assignment,
// and the speculative states of their streams. A command is done once the
// processor has folded the command's outcome, and the group's offset is marked
// behind the contiguous commands that are done.
//
// The lock of the partition processor guards the fields that change, except
// room and unacked. The mailbox, timers and callbacks may outlive the
// assignment. So their methods of the processor have the assignment as a
// parameter, and do nothing once the processor has another assignment, or none.
type assigned struct {
	assignment *kafka.Assignment
	topicID    string // of topic commands
	// append sends a record to the log, and calls delivered when the producer
	// knows whether Kafka holds the record. append returns at once.
	append func(r *eventlog.Record, delivered func(error))
	meter  observe.Meter
	tracer observe.Tracer // nil for none

	room    *semaphore.Weighted // a place for each command under way
	unacked atomic.Int64        // appends that have neither succeeded nor failed

	closing      bool
	released     chan struct{} // closed when the processor has let the assignment go
	last         int64         // the offset of the last command that came
	queue        []*job        // all that came and are not marked, in order
	speculations map[string]*speculation
	deferred     int           // jobs of deferred commands
	maxDeferred  int           // bounds these jobs
	due          int           // jobs of scheduled commands
	maxDue       int           // bounds these jobs of one stream
	dueFrom      int64         // no due time on disk is before, in milliseconds since 1970
	late         time.Duration // of the oldest due command, at the last look
	retry        *time.Timer   // runs while appends have failed
}

func newAssigned(assignment *kafka.Assignment, topicID string, send func(*eventlog.Record, func(error))) *assigned {
	return &assigned{
		assignment: assignment, topicID: topicID, append: send,
		meter:    observe.Unmetered{},
		room:     semaphore.NewWeighted(MaxUnderWay),
		released: make(chan struct{}),
		last:     -1, speculations: map[string]*speculation{}, maxDeferred: maxDeferredInProcessor, maxDue: maxDue, dueFrom: atOnce,
	}
}

// assign begins an assignment: the processor goes on with all streams whose
// deferred commands may go on. An error says that the disk can't be trusted.
func (p *processor) assign(c *assigned) error {
	p.mu.Lock()
	p.release(p.assigned)
	p.assigned = c
	p.mu.Unlock()
	// A stream that defers a command from here on resumes in the fold.
	if err := p.eachDeferring(false, func(s *cachedStream) {
		if p.assigned == c {
			p.resume(s)
		}
	}); err != nil {
		return err
	}
	return p.look(c)
}

// take takes a command into the assignment, and waits while the assignment is
// full. The result says whether the command was taken: an assignment that has
// ended takes none.
func (p *processor) take(c *assigned, envelope eventlog.Envelope, command aggregate.AnyCommand) bool {
	if c.room.Acquire(c.assignment.Context, 1) != nil {
		return false
	}
	if command == nil { // a dead letter: only its turn is kept
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.takes(c, &envelope) {
			return false
		}
		c.queue = append(c.queue, &job{envelope: envelope, done: true})
		p.mark()
		return true
	}
	s, err := p.hold(envelope.Stream, rememberedID(envelope.ID, envelope.Origin))
	if err != nil {
		p.brokenDown(c, err)
		return false
	}
	defer p.letGo(s)
	if !p.takes(c, &envelope) {
		return false
	}
	j := &job{envelope: envelope, command: command, at: eventlog.CommandPosition{TopicID: c.topicID, Offset: envelope.Offset}}
	c.queue = append(c.queue, j)
	sp := p.speculationOf(s)
	p.execute(sp, j)
	p.advance(sp)
	p.mark()
	return true
}

// takes says whether an assignment takes the command that came, and gives the
// place of the command back if not.
func (p *processor) takes(c *assigned, envelope *eventlog.Envelope) bool {
	if p.assigned != c || c.closing || envelope.Offset <= c.last {
		c.room.Release(1)
		return false
	}
	c.last = envelope.Offset
	return true
}

// brokenDown ends an assignment of a partition whose disk can't be trusted: the
// command that could not be taken must not be skipped.
func (p *processor) brokenDown(c *assigned, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.room.Release(1)
	p.release(c)
	p.broken(err)
}

// mark moves the group's offset behind the jobs that are done, up to the
// first job under way. The processor must have an assignment.
func (p *processor) mark() {
	c, n := p.assigned, 0
	for n < len(c.queue) && c.queue[n].done {
		n++
	}
	if n > 0 {
		c.assignment.Mark(c.queue[n-1].envelope.Offset + 1)
		c.queue = slices.Delete(c.queue, 0, n)
		c.room.Release(int64(n))
	}
	if c.closing && len(c.queue) == 0 {
		p.release(c)
	}
}

// close takes no more commands into the assignment, and waits for the commands
// under way until the context ends. Commands that are left then are not marked:
// the next owner of the partition finds the commands decided, or decides them.
func (p *processor) close(ctx context.Context, c *assigned) (left int) {
	p.mu.Lock()
	c.closing = true
	if len(c.queue) == 0 {
		p.release(c)
	}
	p.mu.Unlock()
	select {
	case <-c.released:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.release(c)
	return len(c.queue)
}

// release ends an assignment, unless the assignment has ended.
func (p *processor) release(c *assigned) {
	if c == nil || p.assigned != c {
		return
	}
	p.assigned = nil
	for _, sp := range c.speculations {
		p.unpin(sp.cached)
	}
	close(c.released)
	if c.retry != nil {
		c.retry.Stop()
	}
}

// underWay counts the commands that came in an assignment and are not marked.
func (p *processor) underWay(c *assigned) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(c.queue)
}
