package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

// oldLogAtOnce is the number of partitions that checkLog reads at once.
const oldLogAtOnce = 16

// lookAtFirst is the size of the first messages of a partition that checkLog
// looks at, in bytes.
const lookAtFirst = 64 << 10

// checkLog looks at the first messages of each partition. checkLog refuses
// topics of before v0.1.0, when the key of a message was a bare id: since v0.1.0
// a stream has the name "<aggregate>/<id>". checkLog also refuses a log that was
// written with another number of partitions.
func (k *Kafka) checkLog(ctx context.Context, client sarama.Client) error {
	var looks errgroup.Group
	looks.SetLimit(oldLogAtOnce)
	records := make([][]string, k.Partitions) // keys of the log's first records
	for _, name := range []string{eventlog.TopicCommands, eventlog.TopicEvents} {
		topic := k.Topic(name)
		for partition := range k.Partitions {
			looks.Go(func() error {
				first, err := firstMessages(ctx, client, topic, partition)
				if err != nil || len(first) == 0 {
					return err
				}
				if isOldStream(first[0]) {
					return fmt.Errorf("%w %s: was written before v0.1.0, when streams had other names (key %q): delete the topics, or the data folder of the embedded broker, and start with an empty log",
						ErrTopic, topic, first[0].Key)
				}
				if name == eventlog.TopicEvents {
					records[partition] = streamsOf(first)
				}
				return nil
			})
		}
	}
	if err := looks.Wait(); err != nil {
		return err
	}
	return k.checkPlaces(records)
}

// checkPlaces refuses a log whose first records are in the partitions of another
// number of partitions; records has the keys of each partition's first records.
// A few records of other programs prove nothing.
func (k *Kafka) checkPlaces(records [][]string) error {
	all, elsewhere, sample := 0, 0, ""
	for partition, keys := range records {
		for _, key := range keys {
			all++
			if at := eventlog.PartitionOf(key, k.Partitions); int(at) != partition {
				elsewhere++
				sample = fmt.Sprintf("stream %q stands in partition %d, and belongs in %d", key, partition, at)
			}
		}
	}
	if elsewhere == 0 {
		return nil
	}
	topic := k.Topic(eventlog.TopicEvents)
	for n := int32(1); n < k.Partitions; n++ {
		if fits(records, n) {
			return fmt.Errorf("%w %s: was written with kafka.partitions %d, and not %d (%s): its number of partitions is fixed for the life of a log; `log copy` makes a new log with more partitions",
				ErrTopic, topic, n, k.Partitions, sample)
		}
	}
	if elsewhere*elsewhereShare < all {
		k.Log.Warn("topic events has records in other partitions than their streams'; these records are ignored", "first_records", all, "elsewhere", elsewhere, "sample", sample)
		return nil
	}
	return fmt.Errorf("%w %s: was written with several numbers of partitions (%s): kafka.partitions is fixed for the life of a log; `log copy` makes a new log of the records that were written with the first number",
		ErrTopic, topic, sample)
}

// elsewhereShare is the part of the first records, one in so many, that proves
// another number of partitions.
const elsewhereShare = 10

// fits reports whether all keys are in their partition of n partitions.
func fits(records [][]string, n int32) bool {
	for partition, keys := range records {
		for _, key := range keys {
			if eventlog.PartitionOf(key, n) != int32(partition) {
				return false
			}
		}
	}
	return true
}

// streamsOf returns the keys of the messages that Millrace wrote.
func streamsOf(messages []*sarama.ConsumerMessage) []string {
	var streams []string
	for _, m := range messages {
		raw := rawFromKafka(m)
		if raw.Get(eventlog.HeaderSource) == eventlog.Source && raw.Get(eventlog.HeaderSubject) == raw.Key && raw.Get(eventlog.HeaderSeq) != "" {
			streams = append(streams, raw.Key)
		}
	}
	return streams
}

// firstMessages returns the first messages of a partition, none for an empty
// partition.
func firstMessages(ctx context.Context, client sarama.Client, topic string, partition int32) ([]*sarama.ConsumerMessage, error) {
	first, err := offsetOf(ctx, client, topic, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, fmt.Errorf("offsets of partition %d of %s: %w", partition, topic, err)
	}
	end, err := offsetOf(ctx, client, topic, partition, sarama.OffsetNewest)
	if err != nil {
		return nil, fmt.Errorf("offsets of partition %d of %s: %w", partition, topic, err)
	}
	if first >= end {
		return nil, nil
	}
	messages, _, err := fetchPatiently(ctx, client, topic, partition, first, lookAtFirst)
	if damaged(err) {
		return nil, nil // a partition that nobody can decode proves nothing; its readers say so
	}
	if err != nil {
		return nil, fmt.Errorf("partition %d of %s: %w", partition, topic, err)
	}
	return messages, nil // none for a transaction's marker, or the like
}

// isOldStream reports whether Millrace wrote the message with a bare id as key.
// Messages of other programs are no sign of an old log.
func isOldStream(m *sarama.ConsumerMessage) bool {
	raw := rawFromKafka(m)
	return raw.Get(eventlog.HeaderSource) == eventlog.Source && raw.Get(eventlog.HeaderSubject) == raw.Key && raw.Key != "" && !strings.Contains(raw.Key, "/")
}
