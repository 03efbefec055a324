package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// watchEvery is the time between two looks at topic commands.
const watchEvery = 2 * time.Second

// goneLooks is the number of looks that must miss topic commands before the
// topic counts as deleted: a new broker learns of the topics a little later.
const goneLooks = 2

// WatchCommands looks at topic commands every two seconds, until the context
// ends or the topic has another id than id. WatchCommands calls saw after each
// look that found the topic: with nil, or with an [ErrTopic] if the number of
// partitions is not kafka.partitions. The result says why the topic is another,
// and is nil after the context's end. While brokers are away, WatchCommands
// waits.
func (k *Kafka) WatchCommands(ctx context.Context, id string, saw func(error)) error {
	var admin sarama.ClusterAdmin
	defer func() {
		if admin != nil {
			_ = admin.Close()
		}
	}()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for missed := 0; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		var described *sarama.TopicMetadata
		var err error
		if admin == nil {
			admin, err = openWithin(ctx, k.clusterAdmin)
		}
		if err == nil {
			asked := admin
			described, err = answerWithin(ctx, func() (*sarama.TopicMetadata, error) { return k.describeCommands(asked) })
		}
		if ctx.Err() != nil {
			return nil
		}
		switch {
		case errors.Is(err, sarama.ErrUnknownTopicOrPartition):
			if missed++; missed == goneLooks {
				return fmt.Errorf("topic %s was deleted", k.Topic(eventlog.TopicCommands))
			}
			continue
		case err != nil: // the brokers are away, or elect
			if admin != nil {
				_ = admin.Close()
				admin = nil
			}
			continue
		}
		missed = 0
		if now := topicID(described); now != id {
			return fmt.Errorf("topic %s was made anew: its id is %s, and was %s", described.Name, now, id)
		}
		saw(k.checkPartitions(described))
	}
}

func (k *Kafka) describeCommands(admin sarama.ClusterAdmin) (*sarama.TopicMetadata, error) {
	described, err := admin.DescribeTopics([]string{k.Topic(eventlog.TopicCommands)})
	if err == nil && len(described) != 1 {
		err = fmt.Errorf("%d answers to one question", len(described))
	}
	if err == nil && !errors.Is(described[0].Err, sarama.ErrNoError) {
		err = described[0].Err
	}
	if err != nil {
		return nil, err
	}
	return described[0], nil
}

// checkPartitions refuses a topic with another number of partitions than
// kafka.partitions.
func (k *Kafka) checkPartitions(topic *sarama.TopicMetadata) error {
	if n := len(topic.Partitions); n != int(k.Partitions) {
		return fmt.Errorf("%w %s: has %d partitions, and kafka.partitions is %d; their number is fixed for the life of a log", ErrTopic, topic.Name, n, k.Partitions)
	}
	return nil
}

func topicID(topic *sarama.TopicMetadata) string {
	return base64.RawURLEncoding.EncodeToString(topic.Uuid[:])
}
