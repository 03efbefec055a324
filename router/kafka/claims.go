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
)

// Committed is a claim's start where the consumer group's committed
// offset says; the oldest message, where there is none, or the log does not
// have it.
const Committed int64 = -1

// Claim is one partition that the consumer group has handed to this process.
type Claim struct {
	Partition int32
	// Context ends when the partition is taken away.
	Context context.Context

	start     int64
	mark      func(next int64)
	first     atomic.Int64
	abandoned chan struct{}
	abandon   sync.Once
}

// NewClaim returns a claim whose marks go to mark.
func NewClaim(ctx context.Context, partition int32, mark func(next int64)) *Claim {
	c := &Claim{Partition: partition, Context: ctx, mark: mark, abandoned: make(chan struct{})}
	c.first.Store(Committed)
	return c
}

// Mark tells the group that all before offset next is done. It is a hint for
// whoever claims the partition next, and for tools that show lag.
func (c *Claim) Mark(next int64) { c.mark(next) }

// First is the offset of the claim's first message, once it is known. It is
// negative before, and where there was no message yet.
func (c *Claim) First() int64 { return c.first.Load() }

// Abandon ends the group's session for this process, which joins again: its
// partitions are set up anew, here or elsewhere.
func (c *Claim) Abandon() { c.abandon.Do(func() { close(c.abandoned) }) }

// Abandoned is closed when the claim has been abandoned.
func (c *Claim) Abandoned() <-chan struct{} { return c.abandoned }

// ClaimHandler is told of claims.
type ClaimHandler interface {
	// Setup comes before a claim's first message, which it holds back until
	// it returns. It returns the offset to start at, or [Committed]. After an
	// error it is called again, later each time, until the claim ends.
	Setup(*Claim) (start int64, err error)
	// Cleanup comes after a claim's last message was acked or dropped.
	Cleanup(*Claim)
}

// membership is this process in a consumer group.
type membership struct {
	handler    ClaimHandler
	partitions int32 // of the topic, as configured
	log        *slog.Logger
	cleaning   atomic.Int32 // cleanups under way

	mu      sync.Mutex
	session context.Context // that of the claims, once they are set up
	stuck   error           // why they are not
}

func (m *membership) ready() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.stuck != nil:
		return m.stuck
	case m.session == nil || m.session.Err() != nil:
		return errors.New("no partitions assigned yet")
	default:
		return nil
	}
}

func (m *membership) joined(session context.Context) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.session, m.stuck = session, nil
}

// failed says why there are no claims yet. It logs the first reason: what comes
// until they are there is mostly the same.
func (m *membership) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stuck == nil {
		m.log.Warn("can't take over partitions; trying again", "error", err)
	}
	m.stuck = err
}

// claimedGroup is one generation of the group's membership. Messages can be
// acked to Watermill early, for only [Claim.Mark] moves the group's offset.
type claimedGroup struct {
	*membership
	// deliver brings a claim's messages to its handler, until either ends.
	deliver func(*Claim, sarama.ConsumerGroupClaim)

	claims map[int32]*Claim // there is one topic
}

var _ sarama.ConsumerGroupHandler = (*claimedGroup)(nil)

// Setup returns when all claims are set up, or the session has ended: then
// sarama consumes nothing, and joins again. An error would make this process
// leave the group, and all its members share out the partitions anew.
func (g *claimedGroup) Setup(session sarama.ConsumerGroupSession) error {
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

// setup sets a claim up, and tries until it works. It returns an error when the
// session has ended.
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
		g.failed(fmt.Errorf("partition %d of %s: %w", partition, topic, err))
		if ended := Backoff(session.Context(), try); ended != nil {
			return ended
		}
	}
	if claim.start != Committed {
		// The one moves only forward, the other only back.
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

// Cleanup comes after a Setup that was cut short, too.
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

// startGone is how late, as a try of [Backoff], a claim is set up again whose
// start the log does not have.
const startGone = 4

// ConsumeClaim ends, and with it the session, when the claim is abandoned. It
// doesn't end before: that would take the other claims away with it.
func (g *claimedGroup) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	g.mu.Lock()
	claimed := g.claims[claim.Partition()]
	g.mu.Unlock()
	// A group's offset that the log does not have starts at the oldest; a
	// handler's must not.
	if claimed.start != Committed && claimed.start != claim.InitialOffset() {
		g.failed(fmt.Errorf("partition %d of %s, offset %d: %w", claimed.Partition, claim.Topic(), claimed.start, ErrOffsetGone))
		_ = Backoff(session.Context(), startGone)
		return nil
	}
	claimed.first.Store(claim.InitialOffset())
	g.deliver(claimed, claim)
	select {
	case <-claimed.abandoned:
	case <-session.Context().Done():
	}
	return nil
}
