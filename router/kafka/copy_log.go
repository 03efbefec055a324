package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// copyAtOnce is the number of records in one call of the producer.
const copyAtOnce = 1000

// CopiedLog is the result of [Kafka.CopyLog]. Elsewhere are records that were in
// another partition than their stream's: no fold has read them, and they are not
// copied.
type CopiedLog struct{ Records, Elsewhere int64 }

// CopyLog copies topic events of one cluster to the empty topic events of to,
// which may have another prefix and another number of partitions. Keys, headers,
// bodies and times stay as they are, and so do the order and the chain of each
// stream: the digest leaves out the partition. k.Partitions is the number with
// which the log was written; the topic itself may have more. All commands must
// be decided ([Kafka.CheckDecided]), and nobody may send commands meanwhile. copied
// is called with each record that is copied, in the order of each stream.
func (k *Kafka) CopyLog(ctx context.Context, to *Kafka, copied func(*eventlog.Record), progress func(copied, all int64)) (CopiedLog, error) {
	var done CopiedLog
	if _, err := to.EnsureTopics(ctx); err != nil {
		return done, err
	}
	source, err := k.reader(eventlog.TopicEvents)
	if err != nil {
		return done, err
	}
	defer func() { _ = source.Close() }()
	target, err := to.reader(eventlog.TopicEvents)
	if err != nil {
		return done, err
	}
	defer func() { _ = target.Close() }()
	for partition := range to.Partitions {
		if end, err := target.End(ctx, partition); err != nil {
			return done, err
		} else if end > 0 {
			return done, fmt.Errorf("%w %s: has records already; copy to another prefix", ErrTopic, target.topic)
		}
	}
	producer, err := sarama.NewSyncProducer(to.Brokers, to.sarama())
	if err != nil {
		return done, fmt.Errorf("open a producer: %w", err)
	}
	defer func() { _ = producer.Close() }()
	partitions, err := source.client.Partitions(source.topic)
	if err != nil {
		return done, fmt.Errorf("partitions of %s: %w", source.topic, err)
	}
	ends, all := map[int32]int64{}, int64(0)
	for _, partition := range partitions {
		if ends[partition], err = source.End(ctx, partition); err != nil {
			return done, err
		}
		all += ends[partition]
	}
	for _, partition := range partitions {
		if err := k.copyPartition(ctx, source, partition, ends[partition], producer, target.topic, &done, copied, func() {
			progress(done.Records+done.Elsewhere, all)
		}); err != nil {
			return done, fmt.Errorf("copy partition %d of %s: %w", partition, source.topic, err)
		}
	}
	return done, nil
}

// copyPartition copies the records of a partition up to end, in order.
func (k *Kafka) copyPartition(ctx context.Context, source *reader, partition int32, end int64, producer sarama.SyncProducer, topic string, done *CopiedLog, copied func(*eventlog.Record), progress func()) error {
	from, err := source.start(ctx, partition)
	if err != nil {
		return err
	}
	for from < end {
		messages, next, err := fetchWithin(ctx, source.client, source.topic, partition, from, lookBytes)
		if err != nil {
			return err
		}
		if next == from {
			return sarama.ErrIncompleteResponse
		}
		from = next
		batch := make([]*sarama.ProducerMessage, 0, copyAtOnce)
		for i, m := range messages {
			if eventlog.PartitionOf(string(m.Key), k.Partitions) != partition || len(m.Key) == 0 {
				done.Elsewhere++
			} else {
				batch = append(batch, sameMessage(m, topic))
				r := eventlog.DecodeRecord(rawFromKafka(m), k.Partitions)
				copied(&r)
			}
			if len(batch) == copyAtOnce || i == len(messages)-1 && len(batch) > 0 {
				if err := producer.SendMessages(batch); err != nil {
					return err
				}
				done.Records += int64(len(batch))
				batch = batch[:0]
			}
		}
		progress()
	}
	return ctx.Err()
}

func sameMessage(m *sarama.ConsumerMessage, topic string) *sarama.ProducerMessage {
	headers := make([]sarama.RecordHeader, len(m.Headers))
	for i, h := range m.Headers {
		headers[i] = *h
	}
	return &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(m.Value), Headers: headers, Timestamp: m.Timestamp}
}

// CheckDecided returns an error unless a group is at the end of topic commands.
func (k *Kafka) CheckDecided(ctx context.Context, group string) error {
	return k.check(ctx, func(client sarama.Client, admin sarama.ClusterAdmin) error {
		topic := k.Topic(eventlog.TopicCommands)
		partitions, err := client.Partitions(topic)
		if err != nil {
			return fmt.Errorf("partitions of %s: %w", topic, err)
		}
		committed, err := committedOffsets(admin, group, topic, partitions)
		if err != nil {
			return fmt.Errorf("offsets of group %s: %w", group, err)
		}
		undecided := int64(0)
		for _, partition := range partitions {
			first, err := offsetOf(ctx, client, topic, partition, sarama.OffsetOldest)
			if err != nil {
				return err
			}
			end, err := offsetOf(ctx, client, topic, partition, sarama.OffsetNewest)
			if err != nil {
				return err
			}
			undecided += max(0, end-max(first, committed[partition]))
		}
		if undecided > 0 {
			return fmt.Errorf("%d commands of topic %s are not decided: %w", undecided, topic, errUndecided)
		}
		return nil
	})
}

var errUndecided = errors.New("stop what sends commands, let a command service decide them, and copy then")
