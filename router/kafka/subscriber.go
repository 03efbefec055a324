package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
)

// Subscription is a Watermill subscriber of a consumer group whose handler
// owns its claims. It takes the place of watermill-kafka's, which ends the
// contexts of messages under way when it is closed and forgets their acks, and
// hands each message on through four goroutines.
//
// Each claimed partition has one message out at a time; one that is nacked comes
// again before the next. An ack moves no offset: [Claim.Mark] does.
type Subscription struct {
	kafka *Kafka
	name  string      // of the group
	tail  *TailReader // nil to take what the group fetches
	group *membership
	drain time.Duration
	log   *slog.Logger

	accepting context.Context // ends when no more messages are to be taken
	stop      context.CancelFunc
	session   context.Context // ends when the group is to be left
	leave     context.CancelFunc
	claiming  sync.Mutex // held while closed is read, and busy grows
	closed    bool
	busy      sync.WaitGroup // claims that take messages
	running   sync.WaitGroup
}

var _ message.Subscriber = (*Subscription)(nil)

// resendAfter is how long a message that was nacked waits to come again.
const resendAfter = 100 * time.Millisecond

// leavePatience is how long a broker may take when a group is left.
const leavePatience = 2 * time.Second

// CommandSubscription returns a subscriber of topic commands for a consumer
// group, a command a message ([EnvelopeFromMessage]). The handler is told of
// each partition it claims, and decides where to start and what is done.
// Closing waits for messages out at handlers to be acked, for up to drain.
func (k *Kafka) CommandSubscription(group string, handler ClaimHandler, drain time.Duration) *Subscription {
	return k.subscription(group, nil, handler, drain)
}

// maxPacked bounds the records in one message.
const maxPacked = 256

// LogSubscription is the same for topic events, where a message has all the
// partition's records that are there already ([RecordsFromMessage]): folding
// takes less than passing each of them on would. The group says who has which
// partition; the records come through the feed.
func (k *Kafka) LogSubscription(group string, log *TailReader, handler ClaimHandler, drain time.Duration) *Subscription {
	return k.subscription(group, log, handler, drain)
}

func (k *Kafka) subscription(group string, tail *TailReader, handler ClaimHandler, drain time.Duration) *Subscription {
	s := &Subscription{
		kafka: k, name: group, tail: tail, drain: drain, log: k.Log,
		group: &membership{handler: handler, partitions: k.Partitions, log: k.Log.With("group", group)},
	}
	s.accepting, s.stop = context.WithCancel(context.Background())
	s.session, s.leave = context.WithCancel(context.Background())
	return s
}

// Ready says why the group has not assigned partitions to this process, or
// nil.
func (s *Subscription) Ready() error { return s.group.ready() }

// Subscribe implements [message.Subscriber]. The context does not end the
// subscription: Close does. Brokers that are away are waited for: a router
// that can't subscribe would end for good.
func (s *Subscription) Subscribe(_ context.Context, topic string) (<-chan *message.Message, error) {
	to := make(chan *message.Message)
	s.running.Go(func() {
		defer close(to)
		left := make(chan struct{})
		go func() {
			defer close(left)
			s.stay(topic, to)
		}()
		s.awaitLeft(left)
	})
	return to, nil
}

// stay is a member of the group until it is to leave.
func (s *Subscription) stay(topic string, to chan<- *message.Message) {
	for try := 0; s.session.Err() == nil; try++ {
		joined, err := s.consume(topic, to)
		if joined {
			try = 0
		}
		if err != nil && s.session.Err() == nil {
			s.group.failed(err)
			_ = Backoff(s.accepting, try) // and then it is closed, or tried again
		}
	}
}

// awaitLeft returns once the group is left, and doesn't wait for a broker that
// hangs. The handler's own work at the end, which no broker holds up once it
// has begun, is waited for.
func (s *Subscription) awaitLeft(left <-chan struct{}) {
	<-s.session.Done()
	for waited := false; !waited || s.group.cleaning.Load() > 0; waited = true {
		select {
		case <-left:
			return
		case <-time.After(leavePatience):
		}
	}
	s.busy.Wait() // then nobody hands anything over any more
	s.log.Warn("the broker doesn't answer; its group learns by its own timeout that this process has left", "group", s.name)
}

// consume is a member of the group until it is to leave, or can't go on.
func (s *Subscription) consume(topic string, to chan<- *message.Message) (joined bool, err error) {
	group, err := sarama.NewConsumerGroup(s.kafka.Brokers, s.name, s.kafka.sarama())
	if err != nil {
		return false, err
	}
	var logging sync.WaitGroup
	logging.Go(func() {
		for err := range group.Errors() {
			s.group.log.Debug("consuming", "topic", topic, "error", err)
		}
	})
	defer logging.Wait()
	defer func() {
		if err := group.Close(); err != nil {
			s.group.log.Debug("leaving the group", "error", err)
		}
	}()
	for s.session.Err() == nil {
		// It returns when the partitions are shared out anew.
		err := group.Consume(s.session, []string{topic}, &claimedGroup{membership: s.group, deliver: s.deliver(group, to), claims: map[int32]*Claim{}})
		if err != nil {
			return joined, err
		}
		joined = true
	}
	return joined, nil
}

// begin says whether a claim may take messages.
func (s *Subscription) begin() bool {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	if s.closed {
		return false
	}
	s.busy.Add(1)
	return true
}

// deliver returns what brings a claim's messages to a handler, one after the
// other, until the claim ends or no more are to be taken.
func (s *Subscription) deliver(group sarama.ConsumerGroup, to chan<- *message.Message) func(*Claim, sarama.ConsumerGroupClaim) {
	return func(claim *Claim, from sarama.ConsumerGroupClaim) {
		if !s.begin() {
			return
		}
		defer s.busy.Done()
		if s.tail == nil {
			s.takeCommands(claim, from.Messages(), to)
			return
		}
		group.Pause(map[string][]int32{from.Topic(): {from.Partition()}})
		go func() { // what was fetched before
			for range from.Messages() {
			}
		}()
		s.takeRecords(claim, from.InitialOffset(), to)
	}
}

// takeCommands takes what the group fetches.
func (s *Subscription) takeCommands(claim *Claim, from <-chan *sarama.ConsumerMessage, to chan<- *message.Message) {
	for s.accepting.Err() == nil {
		select {
		case m, ok := <-from:
			if !ok || !s.hand(claim, func() *message.Message { return commandMessage(s.session, m, s.kafka.Partitions) }, to) {
				return
			}
		case <-claim.abandoned:
			return
		case <-s.accepting.Done():
			return
		}
	}
}

// takeRecords takes what the feed has. Brokers that are away are waited for.
func (s *Subscription) takeRecords(claim *Claim, next int64, to chan<- *message.Message) {
	ctx, cancel := context.WithCancel(claim.Context)
	defer cancel()
	defer context.AfterFunc(s.accepting, cancel)()
	go func() {
		select {
		case <-claim.abandoned:
			cancel()
		case <-ctx.Done():
		}
	}()
	for try := 0; ctx.Err() == nil; try++ {
		err := s.follow(ctx, claim, &next, func(records []eventlog.Record) bool {
			try = 0
			return s.hand(claim, func() *message.Message { return recordsMessage(s.session, records) }, to)
		})
		switch {
		case errors.Is(err, errEnded):
			return
		case errors.Is(err, ErrOffsetGone) && ctx.Err() == nil: // setting it up anew shows what it means
			s.group.failed(err)
			_ = Backoff(ctx, startGone)
			claim.Abandon()
			return
		}
		s.group.log.Debug("reading", "partition", claim.Partition, "error", err)
		_ = Backoff(ctx, try)
	}
}

var errEnded = errors.New("the claim has ended")

// follow hands over a claim's records from next on, and moves that, until the
// context or hand ends it.
func (s *Subscription) follow(ctx context.Context, claim *Claim, next *int64, hand func([]eventlog.Record) bool) (err error) {
	if *next < 0 { // neither the handler nor the group has said where to start
		if *next, err = s.tail.start(ctx, claim.Partition); err != nil {
			*next = Committed
			return err
		}
	}
	return s.tail.Follow(ctx, claim.Partition, *next, func(records []eventlog.Record) error {
		for chunk := range slices.Chunk(records, maxPacked) {
			if ctx.Err() != nil || !hand(chunk) {
				return errEnded
			}
			*next = chunk[len(chunk)-1].Offset + 1
		}
		return nil
	})
}

// hand hands a message over until it is acked. It returns false when the claim
// has ended meanwhile, or no more are to be taken.
func (s *Subscription) hand(claim *Claim, pack func() *message.Message, to chan<- *message.Message) bool {
	for {
		msg := pack()
		select {
		case to <- msg:
		case <-claim.Context.Done(): // not acked: it comes again, to whoever is next
			return false
		case <-claim.abandoned:
			return false
		case <-s.accepting.Done():
			return false
		}
		select {
		case <-msg.Acked():
			return claim.Context.Err() == nil
		case <-msg.Nacked():
		case <-s.session.Done():
			return false
		}
		select {
		case <-time.After(resendAfter):
		case <-claim.Context.Done():
			return false
		case <-s.accepting.Done():
			return false
		}
	}
}

// Close implements [message.Subscriber]: it takes no more messages, waits for
// those out at handlers, and only then leaves the group.
func (s *Subscription) Close() error {
	s.claiming.Lock()
	s.closed = true
	s.claiming.Unlock()
	s.stop()
	idle := make(chan struct{})
	go func() {
		s.busy.Wait()
		close(idle)
	}()
	timeout := time.NewTimer(s.drain)
	defer timeout.Stop()
	select {
	case <-idle:
	case <-s.session.Done(): // closed before
	case <-timeout.C:
		s.log.Warn("closing with a message still at work", "group", s.name, "after", s.drain)
	}
	s.leave()
	s.running.Wait()
	return nil
}
