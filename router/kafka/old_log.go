package kafka

import (
	"context"
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

// oldLogAtOnce is how many partitions are looked into at once.
const oldLogAtOnce = 16

// checkStreamNames refuses topics whose messages are keyed by a bare id, as
// before v0.1.0: a stream is named "<aggregate>/<id>" since. The first message
// of each partition tells.
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

// firstMessage is the first message of a partition, nil if there is none.
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

// isOldStream says whether a message is one of Millrace's and keyed by a bare
// id. Anybody may have written any other message.
func isOldStream(m *sarama.ConsumerMessage) bool {
	raw := rawFromKafka(m)
	return raw.Get(eventlog.HeaderSource) == eventlog.Source && raw.Get(eventlog.HeaderSubject) == raw.Key && raw.Key != "" && !strings.Contains(raw.Key, "/")
}
