package messaging

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Publisher returns a publisher whose Publish returns once all in-sync
// replicas hold the messages. It takes no heed of a message's context, and
// can block for as long as the producer tries again.
func (k *Kafka) Publisher() (message.Publisher, error) {
	return k.publisher(KafkaMarshaler{}, k.sarama())
}

// DeadLetterPublisher returns a publisher like [Kafka.Publisher], for messages that
// came from Kafka and can't be decoded.
func (k *Kafka) DeadLetterPublisher() (message.Publisher, error) {
	config := k.sarama()
	config.Producer.MaxMessageBytes = maxDeadLetter
	return k.publisher(deadLetterMarshaler{}, config)
}

// maxDeadLetter is twice what a message elsewhere can have by default: one
// that is as large as can be must fit, with what it gets on top.
const maxDeadLetter = 2 << 20

func (k *Kafka) publisher(marshaler kafka.Marshaler, config *sarama.Config) (message.Publisher, error) {
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               k.Brokers,
		Marshaler:             marshaler,
		OverwriteSaramaConfig: config,
	}, WatermillLog(k.Log))
	if err != nil {
		return nil, fmt.Errorf("open a producer: %w", err)
	}
	return publisher, nil
}

// CommandBus sends commands.
type CommandBus struct{ bus *cqrs.CommandBus }

// NewCommandBus returns Watermill's command bus over topic commands.
func (k *Kafka) NewCommandBus(publisher message.Publisher) (*CommandBus, error) {
	bus, err := cqrs.NewCommandBusWithConfig(publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(cqrs.CommandBusGeneratePublishTopicParams) (string, error) {
			return k.Topic(TopicCommands), nil
		},
		Marshaler: CommandMarshaler{},
		Logger:    WatermillLog(k.Log),
	})
	if err != nil {
		return nil, fmt.Errorf("command bus: %w", err)
	}
	return &CommandBus{bus}, nil
}

// Send returns nil once Kafka holds the command. After an error it may hold it
// or not.
func (b *CommandBus) Send(ctx context.Context, c *Command) error {
	return b.bus.Send(ctx, c)
}
