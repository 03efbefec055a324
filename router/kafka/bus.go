package kafka

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"

	"github.com/millrace/millrace/router/eventlog"
)

// CommandBus sends commands.
type CommandBus struct {
	bus       *cqrs.CommandBus
	publisher *asyncPublisher
	topicID   string
}

// CommandBus opens Watermill's command bus over topic commands; topicID is the
// topic's id.
func (k *Kafka) CommandBus(topicID string) (*CommandBus, error) {
	publisher, err := newAsyncPublisher(k)
	if err != nil {
		return nil, err
	}
	bus, err := cqrs.NewCommandBusWithConfig(publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(cqrs.CommandBusGeneratePublishTopicParams) (string, error) {
			return k.Topic(eventlog.TopicCommands), nil
		},
		Marshaler: CommandMarshaler{},
		Logger:    WatermillLog(k.Log),
	})
	if err != nil {
		return nil, fmt.Errorf("command bus: %w", err)
	}
	return &CommandBus{bus, publisher, topicID}, nil
}

// Post sends a command and returns at once. Commands are written in the order of
// the calls. Post calls sent once: with the command's place when all in-sync
// replicas hold the command, or with an error when Kafka may hold the command
// or not. The callback must not block.
func (b *CommandBus) Post(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
	ctx := whenDelivered(context.Background(), func(at Place, err error) {
		if err != nil {
			sent(eventlog.CommandPlace{}, err)
			return
		}
		sent(eventlog.CommandPlace{Partition: at.Partition, CommandPosition: eventlog.CommandPosition{TopicID: b.topicID, Offset: at.Offset}}, nil)
	})
	if err := b.bus.Send(ctx, c); err != nil {
		sent(eventlog.CommandPlace{}, err)
	}
}

// Send sends a command and returns the command's place once all in-sync replicas
// hold the command. After an error, the context's error included, Kafka may hold
// the command or not, now or later.
func (b *CommandBus) Send(ctx context.Context, c *eventlog.Envelope) (eventlog.CommandPlace, error) {
	type result struct {
		place eventlog.CommandPlace
		err   error
	}
	sent := make(chan result, 1)
	b.Post(c, func(place eventlog.CommandPlace, err error) { sent <- result{place, err} })
	select {
	case r := <-sent:
		return r.place, r.err
	case <-ctx.Done():
		return eventlog.CommandPlace{}, ctx.Err()
	}
}

// Close sends the commands under way, and calls their callbacks.
func (b *CommandBus) Close() error { return b.publisher.Close() }

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
