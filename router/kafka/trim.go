package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// TrimCommands deletes the oldest commands of a partition, up to the first
// command that was sent at or after before, or is not decided. TrimCommands
// returns the number of deleted offsets.
func (k *Kafka) TrimCommands(ctx context.Context, partition int32, before time.Time, decided func(eventlog.Envelope) bool) (int64, error) {
	r, err := k.reader(eventlog.TopicCommands)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	first, err := r.start(ctx, partition)
	if err != nil {
		return 0, err
	}
	end, err := r.End(ctx, partition)
	if err != nil || first >= end {
		return 0, err
	}
	keepFrom := first
	enough := errors.New("enough")
	err = r.follow(ctx, partition, first, func(messages []*sarama.ConsumerMessage) error {
		for _, m := range messages {
			if !m.Timestamp.Before(before) {
				return enough
			}
			// A message that can't be decoded went to the dead letters before the
			// next command was decided.
			if c, err := eventlog.DecodeEnvelope(rawFromKafka(m), k.Partitions); err == nil {
				if !decided(c) {
					return enough
				}
				keepFrom = m.Offset + 1
			}
			if m.Offset >= end-1 {
				return enough
			}
		}
		return nil
	})
	if !errors.Is(err, enough) {
		return 0, err
	}
	if keepFrom == first {
		return 0, nil
	}
	err = within(ctx, func() error {
		admin, err := k.clusterAdmin()
		if err != nil {
			return fmt.Errorf("trim commands: %w", err)
		}
		defer func() { _ = admin.Close() }()
		if err := admin.DeleteRecords(r.topic, map[int32]int64{partition: keepFrom}); err != nil {
			return fmt.Errorf("trim commands: %w", err)
		}
		return nil
	})
	return keepFrom - first, err
}

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

// isFiller reports whether a message of topic commands is a filler.
func isFiller(raw eventlog.RawMessage) bool {
	return raw.Key == "" && raw.Get(eventlog.HeaderType) == eventlog.FillerType
}
