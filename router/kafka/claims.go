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
// claim. Without a committed offset, or if the topic no longer has the offset,
// the claim starts at the oldest message.
const Committed int64 = -1

// Claim is one partition that the consumer group has assigned to this process.
type Claim struct {
	Partition int32
	// Context ends when the group revokes the partition.
	Context context.Context

	start     int64
	mark      func(next int64)
	done      eventlog.Progress
	abandoned chan struct{}
	abandon   sync.Once
}

// NewClaim returns a claim; mark receives the offsets of [Claim.Mark].
func NewClaim(ctx context.Context, partition int32, mark func(next int64)) *Claim {
	c := &Claim{Partition: partition, Context: ctx, mark: mark, abandoned: make(chan struct{})}
	c.done.Set(Committed)
	return c
}

// Mark sets the group's offset: all messages below next are done. The offset is
// a hint for the partition's next owner, and for tools that show the lag.
func (c *Claim) Mark(next int64) {
	c.mark(next)
	c.done.Set(next)
}

// Done returns the progress of the claim's messages: from the offset of the
// first message up to the last mark. The progress is at a negative offset before
// the claim's start is known, and in a partition without messages.
func (c *Claim) Done() *eventlog.Progress { return &c.done }

// Abandon ends the group's session of this process. The process joins again, and
// the group assigns and sets up all partitions of the process anew.
func (c *Claim) Abandon() { c.abandon.Do(func() { close(c.abandoned) }) }

// Abandoned returns a channel; the channel is closed by [Claim.Abandon].
func (c *Claim) Abandoned() <-chan struct{} { return c.abandoned }

// ended reports whether no more messages of the claim may be handled.
func (c *Claim) ended() bool {
	select {
	case <-c.abandoned:
		return true
	default:
		return c.Context.Err() != nil
	}
}

// ClaimHandler owns the claims of a subscription.
type ClaimHandler interface {
	// Setup is called before a claim's first message; messages wait until Setup
	// has returned. Setup returns the offset of the first message to deliver, or
	// [Committed]. After an error Setup is called again, with growing pauses,
	// until the claim ends.
	Setup(*Claim) (start int64, err error)
	// Cleanup is called after a claim's last message is acked or dropped.
	Cleanup(*Claim)
}

// membership is this process's membership in a consumer group.
type membership struct {
	handler    ClaimHandler
	partitions int32 // of the topic, as configured
	log        *slog.Logger
	cleaning   atomic.Int32 // cleanups under way

	mu      sync.Mutex
	session context.Context // session of the claims, once all claims are set up
	stuck   error           // reason why claims are not set up
	// claims are the claims of the session; there is one topic.
	claims map[int32]*Claim
	damage error // of a partition that has no claim
}

var errNoClaims = errors.New("no partitions assigned yet")

func (m *membership) ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stuck != nil:
		return m.stuck
	case m.session == nil || m.session.Err() != nil:
		return errNoClaims
	default:
		return nil
	}
}

// begun notes that a session begins, without claims.
func (m *membership) begun() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims, m.damage = map[int32]*Claim{}, nil
}

// joined notes that all claims are set up, but for those of damaged partitions.
func (m *membership) joined(session context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session, m.stuck = session, m.damage
}

// claim returns the claim of a partition in the present session, or nil.
func (m *membership) claim(partition int32) *Claim {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.claims[partition]
}

// failed notes why claims are not set up yet. The log gets only the first
// reason; the next reasons are mostly the same.
func (m *membership) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stuck == nil {
		m.log.Warn("can't take over partitions; trying again", "error", err)
	}
	m.stuck = err
}

// claimedGroup owns the claims of a group's sessions, one session after the
// other. A handler can ack a message to Watermill early, because only
// [Claim.Mark] moves the group's offset.
type claimedGroup struct {
	*membership
	// deliver hands a claim's messages to the handler, until the claim or the
	// subscription ends.
	deliver func(*Claim, sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim)
}

var _ sarama.ConsumerGroupHandler = (*claimedGroup)(nil)

// Setup returns when all claims are set up, or when the session has ended: then
// sarama consumes nothing, and joins again. Setup never returns an error: after
// an error sarama would leave the group, and the group would rebalance.
func (g *claimedGroup) Setup(session sarama.ConsumerGroupSession) error {
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

// setup sets up a claim, with tries until one succeeds. An error says that the
// session has ended. A damaged partition gets no claim: the other partitions
// don't wait for it.
func (g *claimedGroup) setup(session sarama.ConsumerGroupSession, topic string, partition int32) error {
	claim := NewClaim(session.Context(), partition, func(next int64) {
		session.MarkOffset(topic, partition, next, "")
	})
	for try := 0; ; try++ {
		err := g.start(claim, topic)
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
	if claim.start != Committed {
		// MarkOffset moves the offset forward only, ResetOffset back only.
		session.MarkOffset(topic, partition, claim.start, "")
		session.ResetOffset(topic, partition, claim.start, "")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.claims[partition] = claim
	return nil
}

func (g *claimedGroup) start(claim *Claim, topic string) (err error) {
	if claim.Partition >= g.partitions {
		return fmt.Errorf("%w %s: has more partitions than kafka.partitions, %d; their number is fixed for the life of a log", ErrTopic, topic, g.partitions)
	}
	claim.start, err = g.handler.Setup(claim)
	return err
}

// Cleanup is called after an interrupted Setup too.
func (g *claimedGroup) Cleanup(sarama.ConsumerGroupSession) error {
	g.cleaning.Add(1)
	defer g.cleaning.Add(-1)
	g.mu.Lock()
	claims := g.claims
	g.mu.Unlock()
	cleanups := new(errgroup.Group)
	for _, claim := range claims {
		cleanups.Go(func() error {
			g.handler.Cleanup(claim)
			return nil
		})
	}
	return cleanups.Wait() // none fails
}

// startGone is the try of [Backoff] before a claim is set up again after
// [ErrOffsetGone].
const startGone = 4

// ConsumeClaim returns when the claim is abandoned or the session has ended.
// Returning earlier would end the session, and so all other claims.
func (g *claimedGroup) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	claimed := g.claim(claim.Partition())
	if claimed == nil { // the next session tries again
		for range claim.Messages() { // not marked
		}
		return nil
	}
	// sarama replaces an offset that the topic doesn't have by the oldest. The
	// group's offset may be replaced, a handler's start must not.
	if claimed.start != Committed && claimed.start != claim.InitialOffset() {
		g.failed(fmt.Errorf("partition %d of %s, offset %d: %w", claimed.Partition, claim.Topic(), claimed.start, ErrOffsetGone))
		_ = Backoff(session.Context(), startGone)
		return nil
	}
	claimed.done.Set(claim.InitialOffset())
	g.deliver(claimed, session, claim)
	select {
	case <-claimed.abandoned:
	case <-session.Context().Done():
	}
	return nil
}
