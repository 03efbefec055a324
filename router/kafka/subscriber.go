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
	"github.com/millrace/millrace/router/kafka/connection"
	"github.com/millrace/millrace/router/logging"
)

// Subscription is a Watermill subscriber over a consumer group. A
// [AssignmentHandler] owns the group's assignments. The commands come through the
// subscriber of watermill-kafka, the records through the log tail.
//
// Each assigned partition has one message at the handler. After a nack the same
// message comes again, before the next. An ack moves no offset; only
// [Assignment.Mark] does.
type Subscription struct {
	kafka *Kafka
	name  string      // name of the group
	tail  *TailReader // source of topic events, nil for topic commands
	bare  bool        // no messages
	group *membership
	drain time.Duration
	log   *slog.Logger
	// sampler is for the warnings of a partition that can't be read.
	sampler logging.Sampler

	accepting context.Context // ends when Close stops the intake
	stop      context.CancelFunc
	session   context.Context // ends when the process must leave the group
	leave     context.CancelFunc
	assigning sync.Mutex // guards closed, and the growth of busy
	closed    bool
	busy      sync.WaitGroup // assignments with a delivery loop
	passing   sync.WaitGroup // loops that pass on watermill-kafka's messages
	running   sync.WaitGroup
}

var _ message.Subscriber = (*Subscription)(nil)

// repeatDamage is the least time between two warnings of partitions that can't be
// read.
const repeatDamage = time.Minute

// resendAfter is the pause between a nack and the same message again.
const resendAfter = 100 * time.Millisecond

// leavePatience is the longest wait for a broker when the process leaves a group.
const leavePatience = 2 * time.Second

// maxPacked is the limit of records in one message.
const maxPacked = 256

// LogSubscription returns a subscriber of topic events for a consumer group. A
// message has all records of a partition that are already there, up to 256
// ([RecordsFromMessage]), because folding a record costs less than passing on a
// message. The group only assigns partitions; the records come from the log
// tail. Handler and drain are as in [Kafka.CommandSubscription].
func (k *Kafka) LogSubscription(group string, log *TailReader, handler AssignmentHandler, drain time.Duration) *Subscription {
	return k.subscription(group, log, handler, drain)
}

// WithoutMessages returns a subscriber of topic events that delivers no messages:
// the group only assigns partitions, and the handler reads by itself.
func (k *Kafka) WithoutMessages(group string, handler AssignmentHandler) *Subscription {
	s := k.subscription(group, nil, handler, time.Second)
	s.bare = true
	return s
}

func (k *Kafka) subscription(group string, tail *TailReader, handler AssignmentHandler, drain time.Duration) *Subscription {
	s := &Subscription{
		kafka: k, name: group, tail: tail, drain: drain, log: k.Log,
		sampler: logging.Sampler{Interval: repeatDamage},
		group:   &membership{handler: handler, partitions: k.Partitions, log: k.Log.With("group", group)},
	}
	s.accepting, s.stop = context.WithCancel(context.Background())
	s.session, s.leave = context.WithCancel(context.Background())
	return s
}

// Ready returns nil once the group's assignments are set up, and the reason
// before.
func (s *Subscription) Ready() error { return s.group.ready() }

// Subscribe implements [message.Subscriber]. Only Close ends the subscription,
// not the context. Subscribe doesn't fail when brokers are away, and tries again
// in the background: a Watermill router ends for good if Subscribe fails.
func (s *Subscription) Subscribe(_ context.Context, topic string) (<-chan *message.Message, error) {
	to := make(chan *message.Message)
	s.running.Go(func() {
		defer close(to)
		left := make(chan struct{})
		go func() {
			defer close(left)
			if s.tail == nil && !s.bare {
				s.carryCommands(topic, to)
				return
			}
			s.stay(topic, to)
		}()
		s.awaitLeft(left)
	})
	return to, nil
}

// stay keeps the process in the group until the process must leave.
func (s *Subscription) stay(topic string, to chan<- *message.Message) {
	for try := 0; s.session.Err() == nil; try++ {
		joined, err := s.consume(topic, to)
		if joined {
			try = 0
		}
		if err != nil && s.session.Err() == nil {
			s.group.failed(connection.Told(err))
			_ = Backoff(s.accepting, try) // an error means closed: the loop ends
		}
	}
}

// awaitLeft returns once the process has left the group, and doesn't wait for a
// broker that hangs. awaitLeft does wait for the handler's Cleanup: once begun,
// no broker delays a Cleanup.
func (s *Subscription) awaitLeft(left <-chan struct{}) {
	<-s.session.Done()
	for waited := false; !waited || s.group.cleaning.Load() > 0; waited = true {
		select {
		case <-left:
			return
		case <-time.After(leavePatience):
		}
	}
	s.busy.Wait() // from here on no loop sends messages
	s.passing.Wait()
	s.log.Warn("the broker doesn't answer; its group learns by its own timeout that this process has left", "group", s.name)
}

// consume joins the group, and returns when the process must leave, or with an
// error.
func (s *Subscription) consume(topic string, to chan<- *message.Message) (joined bool, err error) {
	group, err := sarama.NewConsumerGroup(s.kafka.Brokers, s.name, s.kafka.sarama())
	if err != nil {
		return false, err
	}
	var logging sync.WaitGroup
	logging.Go(func() {
		for err := range group.Errors() {
			if damaged(err) {
				s.sampler.Warn(s.group.log, "can't read a partition; trying again", "topic", topic, "error", err)
				continue
			}
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
		// Consume returns at each rebalance.
		err := group.Consume(s.session, []string{topic}, &assignedGroup{s.group, s.deliver(group, to)})
		if err != nil {
			return joined, err
		}
		joined = true
	}
	return joined, nil
}

// begin reports whether a loop may send messages, and counts the loop.
func (s *Subscription) begin(loops *sync.WaitGroup) bool {
	s.assigning.Lock()
	defer s.assigning.Unlock()
	if s.closed {
		return false
	}
	loops.Add(1)
	return true
}

// deliver returns the delivery loop of an assignment. The loop hands the
// messages to the handler, one after the other, until the assignment ends or
// Close stops the intake.
func (s *Subscription) deliver(group sarama.ConsumerGroup, to chan<- *message.Message) func(*Assignment, sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) {
	return func(assignment *Assignment, _ sarama.ConsumerGroupSession, from sarama.ConsumerGroupClaim) {
		if !s.begin(&s.busy) {
			return
		}
		defer s.busy.Done()
		group.Pause(map[string][]int32{from.Topic(): {from.Partition()}})
		go func() { // drop the messages fetched before the pause
			for range from.Messages() {
			}
		}()
		if s.bare {
			s.hold(assignment)
			return
		}
		s.takeRecords(assignment, from.InitialOffset(), to)
	}
}

// hold keeps an assignment without messages until the assignment ends or Close
// stops the intake.
func (s *Subscription) hold(assignment *Assignment) {
	select {
	case <-assignment.Context.Done():
	case <-assignment.abandoned:
	case <-s.accepting.Done():
	}
}

// takeRecords delivers the records of the log tail, and waits for brokers that
// are away.
func (s *Subscription) takeRecords(assignment *Assignment, next int64, to chan<- *message.Message) {
	ctx, cancel := context.WithCancel(assignment.Context)
	defer cancel()
	defer context.AfterFunc(s.accepting, cancel)()
	go func() {
		select {
		case <-assignment.abandoned:
			cancel()
		case <-ctx.Done():
		}
	}()
	for try := 0; ctx.Err() == nil; try++ {
		err := s.follow(ctx, assignment, &next, func(records []eventlog.Record) bool {
			try = 0
			return s.hand(assignment, records, to)
		})
		switch {
		case errors.Is(err, errEnded):
			return
		case errors.Is(err, ErrOffsetGone) && ctx.Err() == nil: // a new setup finds out what this means
			s.group.failed(err)
			_ = Backoff(ctx, startGone)
			assignment.Abandon()
			return
		}
		if damaged(err) {
			s.sampler.Warn(s.group.log, "can't read a partition; trying again", "partition", assignment.Partition, "error", err)
		} else {
			s.group.log.Debug("reading", "partition", assignment.Partition, "error", err)
		}
		_ = Backoff(ctx, try)
	}
}

var errEnded = errors.New("the assignment has ended")

// follow delivers an assignment's records from offset *next on, and moves
// *next, until the context ends or hand returns false.
func (s *Subscription) follow(ctx context.Context, assignment *Assignment, next *int64, hand func([]eventlog.Record) bool) (err error) {
	if *next < 0 { // neither the handler nor the group has an offset
		if *next, err = s.tail.start(ctx, assignment.Partition); err != nil {
			*next = Committed
			return err
		}
	}
	return s.tail.Follow(ctx, assignment.Partition, *next, func(records []eventlog.Record) error {
		for chunk := range slices.Chunk(records, maxPacked) {
			if ctx.Err() != nil || !hand(chunk) {
				return errEnded
			}
			*next = chunk[len(chunk)-1].Offset + 1
		}
		return nil
	})
}

// hand delivers a message, again after each nack, until the ack. hand returns
// false when the assignment has ended or Close has stopped the intake.
func (s *Subscription) hand(assignment *Assignment, records []eventlog.Record, to chan<- *message.Message) bool {
	for {
		msg := recordsMessage(s.session, records)
		if !s.send(assignment, msg, to) {
			return false
		}
		select {
		case <-msg.Acked():
			return assignment.Context.Err() == nil
		case <-msg.Nacked():
		case <-s.session.Done():
			return false
		}
		select {
		case <-time.After(resendAfter):
		case <-assignment.Context.Done():
			return false
		case <-s.accepting.Done():
			return false
		}
	}
}

// send sends a message to the handler, unless the assignment or the intake ends
// before: then the next owner gets the message.
func (s *Subscription) send(assignment *Assignment, msg *message.Message, to chan<- *message.Message) bool {
	select {
	case to <- msg:
		return true
	case <-assignment.Context.Done():
	case <-assignment.abandoned:
	case <-s.accepting.Done():
	}
	return false
}

// Close implements [message.Subscriber]. Close stops the intake, waits for the
// acks of messages at handlers, and only then leaves the group.
func (s *Subscription) Close() error {
	s.assigning.Lock()
	s.closed = true
	s.assigning.Unlock()
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
	case <-s.session.Done(): // a second Close
	case <-timeout.C:
		s.log.Warn("closing with a message still at work", "group", s.name, "after", s.drain)
	}
	s.leave()
	s.running.Wait()
	return nil
}
