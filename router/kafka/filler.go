package kafka

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
)

// A filler is a message without key and body in topic commands, with the type
// [eventlog.FillerType]. A filler takes an offset, and every processor skips
// fillers. Several gateways may append fillers at the same time.

// fillAtOnce is the number of fillers in one call of the producer.
const fillAtOnce = 10_000

// FillCommands appends n fillers to a partition of topic commands. After an
// error some of the fillers may be there.
func (k *Kafka) FillCommands(ctx context.Context, partition int32, n int64) error {
	return within(ctx, func() error {
		config := k.sarama()
		config.Producer.Partitioner = sarama.NewManualPartitioner
		config.Producer.Compression = sarama.CompressionGZIP
		config.Producer.Retry.Max = 3
		producer, err := sarama.NewSyncProducer(k.Brokers, config)
		if err != nil {
			return fmt.Errorf("open a producer: %w", err)
		}
		defer func() { _ = producer.Close() }()
		for n > 0 && ctx.Err() == nil {
			fillers := make([]*sarama.ProducerMessage, min(n, fillAtOnce))
			for i := range fillers {
				fillers[i] = &sarama.ProducerMessage{
					Topic: k.Topic(eventlog.TopicCommands), Partition: partition,
					Headers: []sarama.RecordHeader{{Key: []byte(eventlog.HeaderType), Value: []byte(eventlog.FillerType)}},
				}
			}
			if err := producer.SendMessages(fillers); err != nil {
				return fmt.Errorf("fill partition %d of topic commands: %w", partition, err)
			}
			n -= int64(len(fillers))
		}
		return ctx.Err()
	})
}

// IsFiller reports whether a message from [Kafka.CommandSubscription] is a
// filler.
func IsFiller(msg *message.Message) bool {
	return len(deliveryOf(msg).key) == 0 && msg.Metadata[eventlog.HeaderType] == eventlog.FillerType
}
