package kafka

import (
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/kafka/connection"
)

// CommandSubscription returns a subscriber of topic commands for a consumer
// group: the subscriber of watermill-kafka. A message has one command
// ([CommandMarshaler]). The assignment handler decides for each assigned
// partition where to start and which messages are done. Close waits for the
// acks of messages at handlers, for up to drain.
func (k *Kafka) CommandSubscription(group string, handler AssignmentHandler, drain time.Duration) *Subscription {
	return k.subscription(group, nil, handler, drain)
}

// reconnectAfter is watermill-kafka's pause when the brokers are away.
const reconnectAfter = 500 * time.Millisecond

// carryCommands passes on the messages of watermill-kafka's subscriber, until
// the process must leave the group.
func (s *Subscription) carryCommands(topic string, to chan<- *message.Message) {
	for try := 0; s.session.Err() == nil; try++ {
		from, err := s.subscribe(topic)
		if err != nil {
			s.group.failed(connection.Told(err))
			_ = Backoff(s.accepting, try) // an error means closed: the loop ends
			continue
		}
		s.pass(from, to)
		for range from { // closed once the process has left
		}
	}
}

func (s *Subscription) subscribe(topic string) (<-chan *message.Message, error) {
	subscriber, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               s.kafka.Brokers,
		Unmarshaler:           messageUnmarshaler{},
		OverwriteSaramaConfig: s.kafka.sarama(),
		ConsumerGroup:         s.name,
		NackResendSleep:       resendAfter,
		ReconnectRetrySleep:   reconnectAfter,
		Tracer:                &groupHook{subscription: s},
	}, groupLog{WatermillLog(s.log), s})
	if err != nil {
		return nil, err
	}
	return subscriber.Subscribe(s.session, topic)
}

// pass passes messages on. A message of an assignment that has ended is dropped
// by an ack, which moves no offset: watermill-kafka repeats a nacked message
// for ever, and the assignment would never end. After a dropped message all
// later messages of the assignment are dropped.
func (s *Subscription) pass(from <-chan *message.Message, to chan<- *message.Message) {
	if !s.begin(&s.passing) {
		return
	}
	defer s.passing.Done()
	for {
		select {
		case msg, ok := <-from:
			if !ok {
				return
			}
			if assignment := s.group.assignment(PlaceOf(msg).Partition); assignment == nil || assignment.ended() || s.accepting.Err() != nil || !s.send(assignment, msg, to) {
				msg.Ack()
			}
		case <-s.session.Done():
			return
		}
	}
}

// groupHook owns the assignments of watermill-kafka's subscriber.
type groupHook struct {
	// A subscriber with a consumer group calls no other method.
	kafka.SaramaTracer
	subscription *Subscription
	tries        atomic.Int64 // since the last session
}

// WrapConsumerGroupHandler implements [kafka.SaramaTracer]. It is called before
// each new membership, and sleeps if the last membership came to nothing.
func (h *groupHook) WrapConsumerGroupHandler(inner sarama.ConsumerGroupHandler) sarama.ConsumerGroupHandler {
	if try := h.tries.Add(1) - 2; try >= 0 {
		_ = Backoff(h.subscription.accepting, int(try)) // an error means closed
	}
	return hookedGroup{&assignedGroup{h.subscription.group, h.subscription.deliverThrough(inner)}, h}
}

// hookedGroup is an assignedGroup that notes each session.
type hookedGroup struct {
	*assignedGroup
	hook *groupHook
}

// Setup implements [sarama.ConsumerGroupHandler].
func (g hookedGroup) Setup(session sarama.ConsumerGroupSession) error {
	g.hook.tries.Store(1)
	return g.assignedGroup.Setup(session)
}

// deliverThrough returns the delivery loop of an assignment: the loop gives the
// messages to watermill-kafka's handler, one after the other, until the
// assignment ends or Close stops the intake, and waits for the last ack.
func (s *Subscription) deliverThrough(inner sarama.ConsumerGroupHandler) func(*Assignment, sarama.ConsumerGroupSession, sarama.ConsumerGroupClaim) {
	return func(assignment *Assignment, session sarama.ConsumerGroupSession, from sarama.ConsumerGroupClaim) {
		if !s.begin(&s.busy) {
			return
		}
		defer s.busy.Done()
		gate := make(chan *sarama.ConsumerMessage)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = inner.ConsumeClaim(unmarkedSession{session}, gatedAssignment{from, gate}) // nil: no message fails to unmarshal
		}()
		defer func() { <-ended }()
		defer close(gate)
		for s.accepting.Err() == nil {
			select {
			case m, ok := <-from.Messages():
				if !ok {
					return
				}
				select {
				case gate <- m:
					continue
				case <-ended:
				case <-assignment.abandoned:
				case <-assignment.Context.Done():
				case <-s.accepting.Done():
				}
				return
			case <-ended:
				return
			case <-assignment.abandoned:
				return
			case <-s.accepting.Done():
				return
			}
		}
	}
}

// gatedAssignment is an assignment whose messages come from a delivery loop.
type gatedAssignment struct {
	sarama.ConsumerGroupClaim
	gate <-chan *sarama.ConsumerMessage
}

// Messages implements [sarama.ConsumerGroupClaim].
func (c gatedAssignment) Messages() <-chan *sarama.ConsumerMessage { return c.gate }

// unmarkedSession is a session in which an ack moves no offset.
type unmarkedSession struct{ sarama.ConsumerGroupSession }

// MarkMessage implements [sarama.ConsumerGroupSession].
func (unmarkedSession) MarkMessage(*sarama.ConsumerMessage, string) {}

// groupLog is the log of watermill-kafka's subscriber.
type groupLog struct {
	watermill.LoggerAdapter
	subscription *Subscription
}

// Error implements [watermill.LoggerAdapter]. Errors that keep the process out
// of the group are the reason why the subscription isn't ready.
func (l groupLog) Error(msg string, err error, _ watermill.LogFields) {
	s := l.subscription
	switch {
	case s.session.Err() != nil:
	case damaged(err):
		s.sampler.Warn(s.group.log, "can't read a partition; trying again", "error", err)
		return
	case msg == "Group consume error", msg == "Cannot reconnect messages consumer":
		s.group.failed(connection.Told(err))
	}
	s.group.log.Debug("consuming", "what", msg, "error", err)
}

// With implements [watermill.LoggerAdapter].
func (l groupLog) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return groupLog{l.LoggerAdapter.With(fields), l.subscription}
}
