package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/connection"
)

// PublicTopics writes topics for other teams, and reads their ends. A public
// topic has as many partitions as topic events, so a stream is in the partition
// of the same number.
type PublicTopics struct {
	kafka     *Kafka
	client    sarama.Client
	publisher message.Publisher

	closing atomic.Bool
	sends   sync.RWMutex // read-locked by Publish; Close takes the write side
}

// PublicTopics opens a publisher of public topics: watermill-kafka's, with its
// marshaler that sets the key. The key is the message's ce_subject.
func (k *Kafka) PublicTopics() (*PublicTopics, error) {
	client, err := k.client()
	if err != nil {
		return nil, fmt.Errorf("open a reader of public topics: %w", err)
	}
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers: k.Brokers,
		Marshaler: kafka.NewWithPartitioningMarshaler(func(_ string, msg *message.Message) (string, error) {
			return msg.Metadata[eventlog.HeaderSubject], nil
		}),
		OverwriteSaramaConfig: k.sarama(), // with murmur2
	}, WatermillLog(k.Log))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open a producer: %w", connection.Told(err)), client.Close())
	}
	return &PublicTopics{kafka: k, client: client, publisher: publisher}, nil
}

// EnsurePublic creates a public topic if the topic is missing, and checks an existing
// topic. An error that is [ErrTopic] says in one line what is wrong with the topic.
// Any other error says that the brokers can't answer now.
func (k *Kafka) EnsurePublic(ctx context.Context, topic string) error {
	return k.check(ctx, func(_ sarama.Client, admin sarama.ClusterAdmin) error {
		if err := k.createTopic(admin, topic); err != nil {
			return err
		}
		_, err := whenKnown(ctx, func() (map[string]string, error) { return k.checkEach(admin, topic) })
		return err
	})
}

// Ensure is [Kafka.EnsurePublic].
func (p *PublicTopics) Ensure(ctx context.Context, topic string) error {
	return p.kafka.EnsurePublic(ctx, topic)
}

// Publish implements [message.Publisher]. Publish returns once all in-sync
// replicas hold all messages, and sends a message only after the one before. After
// an error Kafka may hold the message or not, now or later.
func (p *PublicTopics) Publish(topic string, msgs ...*message.Message) error {
	p.sends.RLock()
	defer p.sends.RUnlock()
	for _, msg := range msgs {
		if p.closing.Load() {
			return errClosed
		}
		if err := p.publisher.Publish(topic, msg); err != nil {
			return connection.Told(err)
		}
	}
	return nil
}

const (
	// lookBack is the number of messages that Newest reads first, and lookBackMost
	// the number that Newest reads at once at most.
	lookBack     = 4
	lookBackMost = 4096
)

// Newest calls fn with the messages of a partition, the newest first, until fn
// returns true.
func (p *PublicTopics) Newest(ctx context.Context, topic string, partition int32, fn func(eventlog.RawMessage) (found bool)) error {
	var ends [2]int64
	for i, which := range []int64{sarama.OffsetOldest, sarama.OffsetNewest} {
		at, err := answerWithin(ctx, func() (int64, error) { return offsetOf(ctx, p.client, topic, partition, which) })
		if err != nil {
			return fmt.Errorf("offsets of partition %d of %s: %w", partition, topic, connection.Told(err))
		}
		ends[i] = at
	}
	first, end := ends[0], ends[1]
	for most := int64(lookBack); first < end; most = min(4*most, lookBackMost) {
		from := max(first, end-most)
		messages, err := p.between(ctx, topic, partition, from, end)
		if err != nil {
			return fmt.Errorf("partition %d of %s: %w", partition, topic, connection.Told(err))
		}
		for _, m := range slices.Backward(messages) {
			if fn(rawFromKafka(m)) {
				return nil
			}
		}
		end = from
	}
	return nil
}

// between are the messages from an offset on and before another.
func (p *PublicTopics) between(ctx context.Context, topic string, partition int32, from, end int64) ([]*sarama.ConsumerMessage, error) {
	var all []*sarama.ConsumerMessage
	for from < end {
		messages, next, err := fetchWithin(ctx, p.client, topic, partition, from, behindBytes)
		if err != nil {
			return nil, err
		}
		if next == from {
			return nil, sarama.ErrIncompleteResponse
		}
		from = next
		for _, m := range messages {
			if m.Offset < end {
				all = append(all, m)
			}
		}
	}
	return all, nil
}

// Close waits for the message under way for the patience of a producer's Close.
// Then Publish returns an error.
func (p *PublicTopics) Close() error {
	if p.closing.Swap(true) {
		return nil
	}
	return givenUp(closePatience, func() error {
		p.sends.Lock()
		defer p.sends.Unlock()
		return errors.Join(p.publisher.Close(), p.client.Close())
	})
}
