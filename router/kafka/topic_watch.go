package kafka

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
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
		known := admin
		look, err := answerWithin(ctx, func() (commandsLook, error) {
			described, admin, err := k.lookAtCommands(known)
			return commandsLook{described, admin}, err
		})
		if ctx.Err() != nil {
			return nil
		}
		admin = look.admin
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
		if now := topicID(look.topic); now != id {
			return fmt.Errorf("topic %s was made anew: its id is %s, and was %s", look.topic.Name, now, id)
		}
		saw(k.checkPartitions(look.topic))
	}
}

// commandsLook has what one look at topic commands found, and the client for the
// next look.
type commandsLook struct {
	topic *sarama.TopicMetadata
	admin sarama.ClusterAdmin
}

func (k *Kafka) lookAtCommands(admin sarama.ClusterAdmin) (*sarama.TopicMetadata, sarama.ClusterAdmin, error) {
	if admin == nil {
		var err error
		if admin, err = sarama.NewClusterAdmin(k.Brokers, k.sarama()); err != nil {
			return nil, nil, fmt.Errorf("kafka at %s: %w", strings.Join(k.Brokers, ", "), err)
		}
	}
	described, err := admin.DescribeTopics([]string{k.Topic(eventlog.TopicCommands)})
	if err == nil && len(described) != 1 {
		err = fmt.Errorf("%d answers to one question", len(described))
	}
	if err == nil && !errors.Is(described[0].Err, sarama.ErrNoError) {
		err = described[0].Err
	}
	if err != nil {
		return nil, admin, err
	}
	return described[0], admin, nil
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
