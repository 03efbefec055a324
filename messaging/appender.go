package messaging

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
)

// asyncBuffer holds every append that can be under way, so that handing one
// over never waits for a broker.
const asyncBuffer = 1 << 15

// asyncPublisher is a Watermill publisher that doesn't wait: Publish hands the
// messages to the producer, in order, and each one's context carries who is
// told how it went.
type asyncPublisher struct {
	producer sarama.AsyncProducer
	results  sync.WaitGroup

	mu     sync.RWMutex // held while messages are handed over
	closed bool
}

var errClosed = errors.New("closed")

type deliveredKey struct{}

func newAsyncPublisher(k *Kafka) (*asyncPublisher, error) {
	config := k.sarama()
	config.ChannelBufferSize = asyncBuffer
	producer, err := sarama.NewAsyncProducer(k.Brokers, config)
	if err != nil {
		return nil, fmt.Errorf("open a producer: %w", err)
	}
	p := &asyncPublisher{producer: producer}
	p.results.Go(func() {
		for msg := range producer.Successes() {
			tell(msg, nil)
		}
	})
	p.results.Go(func() {
		for failed := range producer.Errors() {
			tell(failed.Msg, failed.Err)
		}
	})
	return p, nil
}

func tell(msg *sarama.ProducerMessage, err error) {
	if delivered, ok := msg.Metadata.(func(error)); ok {
		delivered(err)
	}
}

// Publish implements [message.Publisher].
func (p *asyncPublisher) Publish(topic string, msgs ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errClosed
	}
	for _, msg := range msgs {
		out, err := KafkaMarshaler{}.Marshal(topic, msg)
		if err != nil {
			return err
		}
		out.Metadata = msg.Context().Value(deliveredKey{})
		p.producer.Input() <- out
	}
	return nil
}

// Close sends what is under way, and tells how it went.
func (p *asyncPublisher) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.producer.AsyncClose()
	}
	p.mu.Unlock()
	p.results.Wait()
	return nil
}

// EventBus appends records to the log.
type EventBus struct {
	bus       *cqrs.EventBus
	publisher *asyncPublisher
}

// EventBus opens Watermill's event bus over topic events.
func (k *Kafka) EventBus() (*EventBus, error) {
	publisher, err := newAsyncPublisher(k)
	if err != nil {
		return nil, err
	}
	bus, err := cqrs.NewEventBusWithConfig(publisher, cqrs.EventBusConfig{
		GeneratePublishTopic: func(cqrs.GenerateEventPublishTopicParams) (string, error) {
			return k.Topic(TopicEvents), nil
		},
		Marshaler: RecordMarshaler{},
		Logger:    WatermillLog(k.Log),
	})
	if err != nil {
		return nil, fmt.Errorf("event bus: %w", err)
	}
	return &EventBus{bus, publisher}, nil
}

// Append sends a record, and returns at once. Records are written in the
// order in which they are handed over. delivered is called once, when all
// in-sync replicas hold the record, or with an error when Kafka may hold it or
// not; it must not wait for anything. Whether the record counts is known when
// it is read back.
func (b *EventBus) Append(r *Record, delivered func(error)) {
	ctx := context.WithValue(context.Background(), deliveredKey{}, delivered)
	if err := b.bus.Publish(ctx, r); err != nil {
		delivered(err)
	}
}

// Close sends what is under way.
func (b *EventBus) Close() error { return b.publisher.Close() }
