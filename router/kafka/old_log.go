package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

// oldLogAtOnce is the number of partitions that checkStreamNames reads at once.
const oldLogAtOnce = 16

// checkStreamNames refuses topics of before v0.1.0, when the key of a message
// was a bare id. Since v0.1.0 a stream has the name "<aggregate>/<id>".
// checkStreamNames looks at the first message of each partition.
func (k *Kafka) checkStreamNames(ctx context.Context, client sarama.Client) error {
	var looks errgroup.Group
	looks.SetLimit(oldLogAtOnce)
	for _, name := range []string{eventlog.TopicCommands, eventlog.TopicEvents} {
		topic := k.Topic(name)
		for partition := range k.Partitions {
			looks.Go(func() error {
				first, err := firstMessage(ctx, client, topic, partition)
				if err != nil || first == nil || !isOldStream(first) {
					return err
				}
				return fmt.Errorf("%w %s: was written before v0.1.0, when streams had other names (key %q): delete the topics, or the data folder of the embedded broker, and start with an empty log",
					ErrTopic, topic, first.Key)
			})
		}
	}
	return looks.Wait()
}

// firstMessage returns the first message of a partition, nil for an empty
// partition.
func firstMessage(ctx context.Context, client sarama.Client, topic string, partition int32) (*sarama.ConsumerMessage, error) {
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
	messages, _, err := fetch(client, topic, partition, first, 1)
	if err != nil {
		return nil, fmt.Errorf("partition %d of %s: %w", partition, topic, err)
	}
	if len(messages) == 0 {
		return nil, nil // a transaction's marker, or the like
	}
	return messages[0], nil
}

// isOldStream reports whether Millrace wrote the message with a bare id as key.
// Messages of other programs are no sign of an old log.
func isOldStream(m *sarama.ConsumerMessage) bool {
	raw := rawFromKafka(m)
	return raw.Get(eventlog.HeaderSource) == eventlog.Source && raw.Get(eventlog.HeaderSubject) == raw.Key && raw.Key != "" && !strings.Contains(raw.Key, "/")
}
