package messaging

import (
	"fmt"

	"github.com/IBM/sarama"
)

// PartitionOf is the partition of a stream among n: murmur2 of the key, as the
// Java client's default partitioner does it, so that other clients agree.
func PartitionOf(stream string, n int32) int32 {
	return int32(murmur2([]byte(stream))&0x7fffffff) % n
}

// murmur2 is org.apache.kafka.common.utils.Utils.murmur2.
func murmur2(data []byte) uint32 {
	const (
		seed = uint32(0x9747b28c)
		m    = uint32(0x5bd1e995)
		r    = 24
	)
	h := seed ^ uint32(len(data))
	for len(data) >= 4 {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		k *= m
		h *= m
		h ^= k
		data = data[4:]
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(data[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}

// partitioner sends a keyed message to its stream's partition, and refuses to
// send while the topic has another number of partitions than configured: the
// streams would be torn in two.
type partitioner struct{ partitions int32 }

func newPartitioner(partitions int32) sarama.PartitionerConstructor {
	return func(string) sarama.Partitioner { return partitioner{partitions} }
}

func (p partitioner) Partition(msg *sarama.ProducerMessage, n int32) (int32, error) {
	if n != p.partitions {
		return 0, fmt.Errorf("topic %s has %d partitions, and kafka.partitions is %d", msg.Topic, n, p.partitions)
	}
	if msg.Key == nil || msg.Key.Length() == 0 {
		return 0, fmt.Errorf("a message for topic %s has no key", msg.Topic)
	}
	key, err := msg.Key.Encode()
	if err != nil {
		return 0, fmt.Errorf("encode key: %w", err)
	}
	return PartitionOf(string(key), n), nil
}

func (partitioner) RequiresConsistency() bool { return true }
