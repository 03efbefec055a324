package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
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
	abandoned chan struct{}
	abandon   sync.Once
}

// NewClaim returns a claim whose marks go to mark.
func NewClaim(ctx context.Context, partition int32, mark func(next int64)) *Claim {
	return &Claim{Partition: partition, Context: ctx, mark: mark, abandoned: make(chan struct{})}
}

// Mark tells the group that all before offset next is done. It is a hint for
// whoever claims the partition next, and for tools that show lag.
func (c *Claim) Mark(next int64) { c.mark(next) }

// Abandon ends the group's session for this process, which joins again: its
// partitions are set up anew, here or elsewhere.
func (c *Claim) Abandon() { c.abandon.Do(func() { close(c.abandoned) }) }

// Abandoned is closed when the claim has been abandoned.
func (c *Claim) Abandoned() <-chan struct{} { return c.abandoned }

// ClaimHandler is told of claims.
type ClaimHandler interface {
	// Setup comes before a claim's first message, which it holds back until
	// it returns. It returns the offset to start at, or [Committed].
	Setup(*Claim) (start int64, err error)
	// Cleanup comes after a claim's last message was acked or dropped.
	Cleanup(*Claim)
}

// membership is this process in a consumer group.
type membership struct {
	handler    ClaimHandler
	partitions int32 // of the topic, as configured
	log        *slog.Logger

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

func (m *membership) failed(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stuck = err
}

// claims decorates watermill-kafka's consumer-group handler: the one hook it
// has for that is called a tracer. Messages can be acked to Watermill early,
// for only [Claim.Mark] moves the group's offset.
type claims struct{ *membership }

var _ kafka.SaramaTracer = claims{}

func (claims) WrapConsumer(c sarama.Consumer) sarama.Consumer { return c }

func (claims) WrapPartitionConsumer(c sarama.PartitionConsumer) sarama.PartitionConsumer { return c }

func (claims) WrapSyncProducer(_ *sarama.Config, p sarama.SyncProducer) sarama.SyncProducer {
	return p
}

func (c claims) WrapConsumerGroupHandler(next sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler {
	return &claimedGroup{membership: c.membership, next: next, held: map[int32]*Claim{}}
}

type claimedGroup struct {
	*membership
	next sarama.ConsumerGroupHandler

	held map[int32]*Claim // there is one topic
}

// setupBackoff stands between two tries of a Setup that fails: sarama joins
// again at once.
const setupBackoff = time.Second

func (g *claimedGroup) Setup(session sarama.ConsumerGroupSession) error {
	if err := g.setup(session); err != nil {
		g.holdUp(session, err)
		return err
	}
	g.joined(session.Context())
	return g.next.Setup(session)
}

// holdUp says why a session can't go on, and keeps it from being followed by
// the next at once.
func (g *claimedGroup) holdUp(session sarama.ConsumerGroupSession, err error) {
	if session.Context().Err() != nil {
		return // it has ended anyway
	}
	g.failed(err)
	g.log.Warn("can't take over partitions yet", "error", err)
	select {
	case <-session.Context().Done():
	case <-time.After(setupBackoff):
	}
}

func (g *claimedGroup) setup(session sarama.ConsumerGroupSession) error {
	setups := new(errgroup.Group)
	for topic, partitions := range session.Claims() {
		for _, partition := range partitions {
			claim := NewClaim(session.Context(), partition, func(next int64) {
				session.MarkOffset(topic, partition, next, "")
			})
			setups.Go(func() error {
				if partition >= g.partitions {
					return fmt.Errorf("%w %s: has a partition %d, and kafka.partitions is %d; their number is fixed for the life of a log", ErrTopic, topic, partition, g.partitions)
				}
				start, err := g.handler.Setup(claim)
				if err != nil {
					return fmt.Errorf("partition %d of %s: %w", partition, topic, err)
				}
				claim.start = start
				g.mu.Lock()
				g.held[partition] = claim
				g.mu.Unlock()
				if start != Committed {
					// The one moves only forward, the other only back.
					session.MarkOffset(topic, partition, start, "")
					session.ResetOffset(topic, partition, start, "")
				}
				return nil
			})
		}
	}
	return setups.Wait()
}

// Cleanup comes after a failed Setup too.
func (g *claimedGroup) Cleanup(session sarama.ConsumerGroupSession) error {
	g.mu.Lock()
	held := g.held
	g.held = map[int32]*Claim{}
	g.mu.Unlock()
	cleanups := new(errgroup.Group)
	for _, claim := range held {
		cleanups.Go(func() error {
			g.handler.Cleanup(claim)
			return nil
		})
	}
	_ = cleanups.Wait() // none fails
	return g.next.Cleanup(session)
}

// ConsumeClaim ends, and with it the session, when the claim is abandoned.
func (g *claimedGroup) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	g.mu.Lock()
	held := g.held[claim.Partition()]
	g.mu.Unlock()
	// A group's offset that the log does not have starts at the oldest; a
	// handler's must not.
	if held.start != Committed && held.start != claim.InitialOffset() {
		err := fmt.Errorf("partition %d of %s, offset %d: %w", held.Partition, claim.Topic(), held.start, ErrOffsetGone)
		g.holdUp(session, err)
		return err
	}
	messages := make(chan *sarama.ConsumerMessage)
	go func() {
		defer close(messages)
		for {
			select {
			case m, ok := <-claim.Messages():
				if !ok {
					return
				}
				select {
				case messages <- m:
				case <-held.abandoned:
					return
				case <-session.Context().Done():
					return
				}
			case <-held.abandoned:
				return
			}
		}
	}()
	return g.next.ConsumeClaim(unmarked{session}, abandonable{claim, messages})
}

// abandonable is a claim whose messages can end before the session does.
type abandonable struct {
	sarama.ConsumerGroupClaim
	messages <-chan *sarama.ConsumerMessage
}

func (a abandonable) Messages() <-chan *sarama.ConsumerMessage { return a.messages }

// unmarked is a session in which an acked message marks nothing.
type unmarked struct{ sarama.ConsumerGroupSession }

func (unmarked) MarkMessage(*sarama.ConsumerMessage, string) {}
func (unmarked) Commit()                                     {}
