package kafka

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"

	"github.com/millrace/millrace/router/eventlog"
)

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
			return k.Topic(eventlog.TopicEvents), nil
		},
		Marshaler: RecordMarshaler{},
		Logger:    WatermillLog(k.Log),
	})
	if err != nil {
		return nil, fmt.Errorf("event bus: %w", err)
	}
	return &EventBus{bus, publisher}, nil
}

// Append sends a record and returns at once. Records are written in the order
// of the calls. Append calls delivered once: with nil when all in-sync replicas
// hold the record, or with an error when Kafka may hold the record or not. The
// callback must not block. Only a reader of the log sees whether the record
// counts.
func (b *EventBus) Append(r *eventlog.Record, delivered func(error)) {
	ctx := whenDelivered(context.Background(), func(_ Place, err error) { delivered(err) })
	if err := b.bus.Publish(ctx, r); err != nil {
		delivered(err)
	}
}

// Close sends the records under way, and calls their callbacks.
func (b *EventBus) Close() error { return b.publisher.Close() }
