package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

// Committed stands for the consumer group's committed offset, as the start of a
// assignment. Without a committed offset, or if the topic no longer has the
// offset, the assignment starts at the oldest message.
const Committed int64 = -1

// Assignment is one partition that the consumer group has assigned to this
// process.
type Assignment struct {
	Partition int32
	// Context ends when the group revokes the partition.
	Context context.Context

	start     int64
	mark      func(next int64)
	done      eventlog.Progress
	abandoned chan struct{}
	abandon   sync.Once
}

// NewAssignment returns an assignment; mark receives the offsets of
// [Assignment.Mark].
func NewAssignment(ctx context.Context, partition int32, mark func(next int64)) *Assignment {
	c := &Assignment{Partition: partition, Context: ctx, mark: mark, abandoned: make(chan struct{})}
	c.done.Set(Committed)
	return c
}

// Mark sets the group's offset: all messages below next are done. The offset is
// a hint for the partition's next owner, and for tools that show the lag.
func (c *Assignment) Mark(next int64) {
	c.mark(next)
	c.done.Set(next)
}

// Done returns the progress of the assignment's messages: from the offset of the
// first message up to the last mark. The progress is at a negative offset before
// the assignment's start is known, and in a partition without messages.
func (c *Assignment) Done() *eventlog.Progress { return &c.done }

// Abandon ends the group's session of this process. The process joins again, and
// the group assigns and sets up all partitions of the process anew.
func (c *Assignment) Abandon() { c.abandon.Do(func() { close(c.abandoned) }) }

// Abandoned returns a channel; the channel is closed by [Assignment.Abandon].
func (c *Assignment) Abandoned() <-chan struct{} { return c.abandoned }

// ended reports whether no more messages of the assignment may be handled.
func (c *Assignment) ended() bool {
	select {
	case <-c.abandoned:
		return true
	default:
		return c.Context.Err() != nil
	}
}

// AssignmentHandler owns the assignments of a subscription.
type AssignmentHandler interface {
	// Setup is called before an assignment's first message; messages wait until
	// Setup has returned. Setup returns the offset of the first message to
	// deliver, or [Committed]. After an error Setup is called again, with
	// growing pauses, until the assignment ends.
	Setup(*Assignment) (start int64, err error)
	// Cleanup is called after an assignment's last message is acked or dropped.
	Cleanup(*Assignment)
}

// membership is this process's membership in a consumer group.
type membership struct {
	handler    AssignmentHandler
	partitions int32 // of the topic, as configured
	log        *slog.Logger
	cleaning   atomic.Int32 // cleanups under way

	mu      sync.Mutex
	session context.Context // session of the assignments, once all assignments are set up
	stuck   error           // reason why assignments are not set up
	// assignments are the assignments of the session; there is one topic.
	assignments map[int32]*Assignment
	damage      error // of a partition that has no assignment
}

var errNoAssignments = errors.New("no partitions assigned yet")

func (m *membership) ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stuck != nil:
		return m.stuck
	case m.session == nil || m.session.Err() != nil:
		return errNoAssignments
	default:
		return nil
	}
}

// begun notes that a session begins, without assignments.
func (m *membership) begun() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.assignments, m.damage = map[int32]*Assignment{}, nil
}

// joined notes that all assignments are set up, but for those of damaged
// partitions.
func (m *membership) joined(session context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session, m.stuck = session, m.damage
}

// assignment returns the assignment of a partition in the present session, or
// nil.
func (m *membership) assignment(partition int32) *Assignment {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.assignments[partition]
}

// failed notes why assignments are not set up yet. The log gets only the first
// reason; the next reasons are mostly the same.
func (m *membership) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stuck == nil {
		m.log.Warn("can't take over partitions; trying again", "error", err)
	}
	m.stuck = err
}

// assignedGroup owns the assignments of a group's sessions, one session after the
// other. A handler can ack a message to Watermill early, because only
// [Assignment.Mark] moves the group's offset.
type assignedGroup struct {
	*membership
	// deliver hands an assignment's messages to the handler, until the
	// assignment or the subscription ends.
	deliver func(*Assignment, sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim)
}

var _ sarama.ConsumerGroupHandler = (*assignedGroup)(nil)

// Setup returns when all assignments are set up, or when the session has ended:
// then sarama consumes nothing, and joins again. Setup never returns an error:
// after an error sarama would leave the group, and the group would rebalance.
func (g *assignedGroup) Setup(session sarama.ConsumerGroupSession) error {
	g.begun()
	setups := new(errgroup.Group)
	for topic, partitions := range session.Claims() {
		for _, partition := range partitions {
			setups.Go(func() error { return g.setup(session, topic, partition) })
		}
	}
	if setups.Wait() == nil {
		g.joined(session.Context())
	}
	return nil
}

// setup sets up an assignment, with tries until one succeeds. An error says
// that the session has ended. A damaged partition gets no assignment: the other
// partitions don't wait for it.
func (g *assignedGroup) setup(session sarama.ConsumerGroupSession, topic string, partition int32) error {
	assignment := NewAssignment(session.Context(), partition, func(next int64) {
		session.MarkOffset(topic, partition, next, "")
	})
	for try := 0; ; try++ {
		err := g.start(assignment, topic)
		if err == nil {
			break
		}
		if ended := session.Context().Err(); ended != nil {
			return ended
		}
		err = fmt.Errorf("partition %d of %s: %w", partition, topic, err)
		g.failed(err)
		if errors.Is(err, ErrDamaged) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.damage = err
			return nil
		}
		if ended := Backoff(session.Context(), try); ended != nil {
			return ended
		}
	}
	if assignment.start != Committed {
		// MarkOffset moves the offset forward only, ResetOffset back only.
		session.MarkOffset(topic, partition, assignment.start, "")
		session.ResetOffset(topic, partition, assignment.start, "")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.assignments[partition] = assignment
	return nil
}

func (g *assignedGroup) start(assignment *Assignment, topic string) (err error) {
	if assignment.Partition >= g.partitions {
		return fmt.Errorf("%w %s: has more partitions than kafka.partitions, %d; their number is fixed for the life of a log", ErrTopic, topic, g.partitions)
	}
	assignment.start, err = g.handler.Setup(assignment)
	return err
}

// Cleanup is called after an interrupted Setup too.
func (g *assignedGroup) Cleanup(sarama.ConsumerGroupSession) error {
	g.cleaning.Add(1)
	defer g.cleaning.Add(-1)
	g.mu.Lock()
	assignments := g.assignments
	g.mu.Unlock()
	cleanups := new(errgroup.Group)
	for _, assignment := range assignments {
		cleanups.Go(func() error {
			g.handler.Cleanup(assignment)
			return nil
		})
	}
	return cleanups.Wait() // none fails
}

// startGone is the try of [Backoff] before an assignment is set up again after
// [ErrOffsetGone].
const startGone = 4

// ConsumeClaim returns when the assignment is abandoned or the session has ended.
// Returning earlier would end the session, and so all other assignments.
func (g *assignedGroup) ConsumeClaim(session sarama.ConsumerGroupSession, assignment sarama.ConsumerGroupClaim) error {
	assigned := g.assignment(assignment.Partition())
	if assigned == nil { // the next session tries again
		for range assignment.Messages() { // not marked
		}
		return nil
	}
	// sarama replaces an offset that the topic doesn't have by the oldest. The
	// group's offset may be replaced, a handler's start must not.
	if assigned.start != Committed && assigned.start != assignment.InitialOffset() {
		g.failed(fmt.Errorf("partition %d of %s, offset %d: %w", assigned.Partition, assignment.Topic(), assigned.start, ErrOffsetGone))
		_ = Backoff(session.Context(), startGone)
		return nil
	}
	assigned.done.Set(assignment.InitialOffset())
	g.deliver(assigned, session, assignment)
	select {
	case <-assigned.abandoned:
	case <-session.Context().Done():
	}
	return nil
}
