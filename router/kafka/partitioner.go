package kafka

import (
	"fmt"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
)

// partitioner sends a message to the partition of the stream, the message's
// key. The partitioner refuses a message without a key. The partitioner also
// refuses every message while the number of the topic's partitions differs from
// kafka.partitions, because streams would be split over two partitions.
type partitioner struct{ partitions int32 }

func newPartitioner(partitions int32) sarama.PartitionerConstructor {
	return func(string) sarama.Partitioner { return partitioner{partitions} }
}

func (p partitioner) Partition(msg *sarama.ProducerMessage, n int32) (int32, error) {
	if n != p.partitions {
		return 0, otherPartitions(msg.Topic, n, p.partitions)
	}
	if msg.Key == nil || msg.Key.Length() == 0 {
		return 0, fmt.Errorf("a message for topic %s has no key: %w", msg.Topic, eventlog.ErrNotTaken)
	}
	key, err := msg.Key.Encode()
	if err != nil {
		return 0, fmt.Errorf("encode key: %w", err)
	}
	return eventlog.PartitionOf(string(key), n), nil
}

func (partitioner) RequiresConsistency() bool { return true }

// streamPartitioner is the partitioner of the asynchronous publisher, which
// already knows a message's partition. Like [partitioner], streamPartitioner
// refuses every message while the topic has another number of partitions.
type streamPartitioner struct{ partitions int32 }

var _ kgo.Partitioner = streamPartitioner{}

// ForTopic implements [kgo.Partitioner].
func (p streamPartitioner) ForTopic(string) kgo.TopicPartitioner { return p }

// RequiresConsistency implements [kgo.TopicPartitioner]: a stream stays in its
// partition while the partition has no leader.
func (streamPartitioner) RequiresConsistency(*kgo.Record) bool { return true }

// Partition implements [kgo.TopicPartitioner]; -1 is a refusal.
func (p streamPartitioner) Partition(r *kgo.Record, n int) int {
	if n != int(p.partitions) {
		if s, ok := r.Context.(*sending); ok {
			s.refused = otherPartitions(r.Topic, int32(n), p.partitions) //nolint:gosec // Kafka counts partitions in 32 bits
		}
		return -1
	}
	return int(r.Partition)
}

func otherPartitions(topic string, has, want int32) error {
	return fmt.Errorf("topic %s has %d partitions, and kafka.partitions is %d: %w", topic, has, want, eventlog.ErrNotTaken)
}
