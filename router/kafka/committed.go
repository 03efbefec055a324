package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// CommittedOffsets returns the committed offsets of a consumer group in a
// topic, by partition. A partition without a committed offset has no entry.
func (k *Kafka) CommittedOffsets(ctx context.Context, group, topic string) (map[int32]int64, error) {
	committed, err := administer(ctx, k, func(_ sarama.Client, admin sarama.ClusterAdmin) (map[int32]int64, error) {
		return committedOffsets(admin, group, k.Topic(topic), k.allPartitions())
	})
	if err != nil {
		return nil, fmt.Errorf("offsets of group %s: %w", group, err)
	}
	return committed, nil
}

// Range is the offsets of a partition: of the first message, and behind the last
// message.
type Range struct{ First, End int64 }

// Ranges returns the offsets of a topic's partitions, by partition.
func (k *Kafka) Ranges(ctx context.Context, topic string) ([]Range, error) {
	return administer(ctx, k, func(client sarama.Client, _ sarama.ClusterAdmin) ([]Range, error) {
		ranges := make([]Range, k.Partitions)
		for partition := range k.Partitions {
			first, err := offsetOf(ctx, client, k.Topic(topic), partition, sarama.OffsetOldest)
			if err != nil {
				return nil, fmt.Errorf("start of partition %d of %s: %w", partition, k.Topic(topic), err)
			}
			end, err := offsetOf(ctx, client, k.Topic(topic), partition, sarama.OffsetNewest)
			if err != nil {
				return nil, fmt.Errorf("end of partition %d of %s: %w", partition, k.Topic(topic), err)
			}
			ranges[partition] = Range{first, end}
		}
		return ranges, nil
	})
}

// ErrShorter is the error of a log that was longer once.
var ErrShorter = errors.New("the log was longer")

// CheckLength returns an [ErrShorter] if a consumer group has read more of the
// log than there is: the log has lost its end, or was made anew.
func (k *Kafka) CheckLength(ctx context.Context, groups []string) error {
	return k.check(ctx, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		topic := k.Topic(eventlog.TopicEvents)
		read := map[int32]int64{}
		by := map[int32]string{}
		for _, group := range groups {
			committed, err := committedOffsets(admin, group, topic, k.allPartitions())
			if err != nil {
				return fmt.Errorf("offsets of group %s: %w", group, err)
			}
			for partition, next := range committed {
				if next > read[partition] {
					read[partition], by[partition] = next, group
				}
			}
		}
		for partition, next := range read { // read before the ends, because the log grows
			end, err := offsetOf(ctx, client, topic, partition, sarama.OffsetNewest)
			if err != nil {
				return fmt.Errorf("end of partition %d of %s: %w", partition, topic, err)
			}
			if end < next {
				return fmt.Errorf("%w: partition %d of %s ends at offset %d, and group %s has read up to offset %d", ErrShorter, partition, topic, end, by[partition], next-1)
			}
		}
		return nil
	})
}

func (k *Kafka) allPartitions() []int32 {
	all := make([]int32, k.Partitions)
	for partition := range all {
		all[partition] = int32(partition)
	}
	return all
}

// administer runs ask with new clients, and returns at the context's end.
func administer[T any](ctx context.Context, k *Kafka, ask func(sarama.Client, sarama.ClusterAdmin) (T, error)) (T, error) {
	return answerWithin(ctx, func() (none T, _ error) {
		client, err := k.client()
		if err != nil {
			return none, fmt.Errorf("kafka at %s: %w", strings.Join(k.Brokers, ", "), err)
		}
		defer func() { _ = client.Close() }()
		admin, err := sarama.NewClusterAdminFromClient(client)
		if err != nil {
			return none, fmt.Errorf("kafka at %s: %w", strings.Join(k.Brokers, ", "), err)
		}
		return ask(client, admin)
	})
}

// check is like [administer], for a question without an answer.
func (k *Kafka) check(ctx context.Context, ask func(sarama.Client, sarama.ClusterAdmin) error) error {
	_, err := administer(ctx, k, func(client sarama.Client, admin sarama.ClusterAdmin) (struct{}, error) {
		return struct{}{}, ask(client, admin)
	})
	return err
}
