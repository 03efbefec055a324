package kafka

import (
	"fmt"

	"github.com/IBM/sarama"

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
		return 0, fmt.Errorf("topic %s has %d partitions, and kafka.partitions is %d: %w", msg.Topic, n, p.partitions, eventlog.ErrNotTaken)
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
