package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// ErrTopic is the error of a topic with wrong settings or content. Waiting
// doesn't help.
var ErrTopic = errors.New("topic")

// Topics has the ids of the topics of one log (KIP-516), base64url without
// padding. A topic that was made anew has another id.
type Topics struct {
	CommandsID string // id of topic commands
	EventsID   string // id of topic events
}

// EnsureTopics creates missing topics and checks existing topics. An error that
// is [ErrTopic] says in one line what is wrong with a topic. Any other error says
// that the brokers can't answer now.
func (k *Kafka) EnsureTopics(ctx context.Context) (Topics, error) {
	return administer(ctx, k, func(client sarama.Client, admin sarama.ClusterAdmin) (Topics, error) {
		for _, name := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
			if err := k.createTopic(admin, k.Topic(name)); err != nil {
				return Topics{}, err
			}
		}
		topics, err := whenKnown(ctx, func() (Topics, error) { return k.checkTopics(admin) })
		if err == nil {
			err = k.checkLog(ctx, client)
		}
		return topics, err
	})
}

// whenKnown looks at topics that may be new: other brokers learn of a new topic
// a little later, busy brokers seconds later.
func whenKnown[T any](ctx context.Context, look func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		found, err := look()
		if try == 8 || !errors.Is(err, sarama.ErrUnknownTopicOrPartition) || Backoff(ctx, try) != nil {
			return found, err
		}
	}
}

// CommandsID returns the present id of topic commands. Errors are as in
// [Kafka.EnsureTopics].
func (k *Kafka) CommandsID(ctx context.Context) (string, error) {
	topics, err := administer(ctx, k, func(_ sarama.Client, admin sarama.ClusterAdmin) (Topics, error) { return k.checkTopics(admin) })
	return topics.CommandsID, err
}

// IDs returns the ids of existing topics, which may have another number of
// partitions.
func (k *Kafka) IDs(ctx context.Context) (Topics, error) {
	return administer(ctx, k, func(_ sarama.Client, admin sarama.ClusterAdmin) (Topics, error) {
		described, err := admin.DescribeTopics([]string{k.Topic(eventlog.TopicCommands), k.Topic(eventlog.TopicEvents)})
		if err != nil {
			return Topics{}, fmt.Errorf("describe topics: %w", err)
		}
		ids := map[string]string{}
		for _, topic := range described {
			if !errors.Is(topic.Err, sarama.ErrNoError) {
				return Topics{}, fmt.Errorf("describe topic %s: %w", topic.Name, topic.Err)
			}
			ids[topic.Name] = topicID(topic)
		}
		return Topics{CommandsID: ids[k.Topic(eventlog.TopicCommands)], EventsID: ids[k.Topic(eventlog.TopicEvents)]}, nil
	})
}

func (k *Kafka) createTopic(admin sarama.ClusterAdmin, topic string) error {
	insync := "1"
	if k.Replication >= 3 {
		insync = "2"
	}
	forever := "-1" // Millrace itself trims decided commands
	policy := "delete"
	config := map[string]*string{
		"cleanup.policy":      &policy,
		"retention.ms":        &forever,
		"retention.bytes":     &forever,
		"min.insync.replicas": &insync,
	}
	size := strconv.Itoa(1 << 20) // Kafka's default, whatever the cluster's is
	if topic == k.Topic(eventlog.TopicDeadLetters) {
		size = strconv.Itoa(maxDeadLetter)
	}
	config["max.message.bytes"] = &size
	err := admin.CreateTopic(topic, &sarama.TopicDetail{
		NumPartitions:     k.Partitions,
		ReplicationFactor: k.Replication,
		ConfigEntries:     config,
	}, false)
	switch {
	case err == nil:
		k.Log.Info("created topic", "topic", topic, "partitions", k.Partitions, "replication", k.Replication)
		return nil
	case errors.Is(err, sarama.ErrTopicAlreadyExists):
		return nil
	case errors.Is(err, sarama.ErrInvalidReplicationFactor):
		return fmt.Errorf("%w %s: can't be created with kafka.replication %d: there are fewer brokers", ErrTopic, topic, k.Replication)
	default:
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
}

func (k *Kafka) checkTopics(admin sarama.ClusterAdmin) (Topics, error) {
	ids, err := k.checkEach(admin, k.Topic(eventlog.TopicCommands), k.Topic(eventlog.TopicEvents), k.Topic(eventlog.TopicDeadLetters))
	return Topics{CommandsID: ids[k.Topic(eventlog.TopicCommands)], EventsID: ids[k.Topic(eventlog.TopicEvents)]}, err
}

// checkEach checks existing topics, and returns their ids.
func (k *Kafka) checkEach(admin sarama.ClusterAdmin, names ...string) (ids map[string]string, err error) {
	described, err := admin.DescribeTopics(names)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	ids = map[string]string{}
	for _, topic := range described {
		if !errors.Is(topic.Err, sarama.ErrNoError) {
			return nil, fmt.Errorf("describe topic %s: %w", topic.Name, topic.Err)
		}
		if err := k.checkPartitions(topic); err != nil {
			return nil, err
		}
		for _, p := range topic.Partitions {
			if len(p.Replicas) < int(k.Replication) {
				return nil, fmt.Errorf("%w %s: partition %d has %d replicas, and kafka.replication is %d", ErrTopic, topic.Name, p.ID, len(p.Replicas), k.Replication)
			}
		}
		if err := k.checkConfig(admin, topic.Name); err != nil {
			return nil, err
		}
		ids[topic.Name] = topicID(topic)
	}
	return ids, nil
}

// checkConfig refuses settings under which the log would lose records.
func (k *Kafka) checkConfig(admin sarama.ClusterAdmin, topic string) error {
	entries, err := topicConfig(admin, topic)
	if err != nil {
		return err
	}
	want := map[string]string{"cleanup.policy": "delete", "unclean.leader.election.enable": "false"}
	if topic != k.Topic(eventlog.TopicDeadLetters) {
		want["retention.ms"], want["retention.bytes"] = "-1", "-1"
	}
	for _, entry := range entries {
		if value, ok := want[entry.Name]; ok && entry.Value != value {
			return fmt.Errorf("%w %s: %s is %s, and must be %s", ErrTopic, topic, entry.Name, entry.Value, value)
		}
		if entry.Name == "max.message.bytes" && topic != k.Topic(eventlog.TopicDeadLetters) {
			if n, err := strconv.Atoi(entry.Value); err != nil || n < eventlog.MaxMessage {
				return fmt.Errorf("%w %s: max.message.bytes is %s, and must be %d or more", ErrTopic, topic, entry.Value, eventlog.MaxMessage)
			}
		}
		if entry.Name == "min.insync.replicas" && k.Replication >= 3 {
			if n, err := strconv.Atoi(entry.Value); err != nil || n < 2 {
				return fmt.Errorf("%w %s: min.insync.replicas is %s, and must be 2 or more with kafka.replication %d", ErrTopic, topic, entry.Value, k.Replication)
			}
		}
	}
	return nil
}

func topicConfig(admin sarama.ClusterAdmin, topic string) ([]sarama.ConfigEntry, error) {
	resource := &sarama.ConfigResource{Type: sarama.TopicResource, Name: topic}
	described, err := admin.DescribeConfigs([]*sarama.ConfigResource{resource}, sarama.DescribeConfigsOptions{})
	if err == nil && len(described) != 1 {
		err = fmt.Errorf("%d answers to one question", len(described))
	}
	if err == nil && described[0].ErrorCode != sarama.ErrNoError {
		err = described[0].ErrorCode
	}
	if err != nil {
		return nil, fmt.Errorf("describe the configuration of topic %s: %w", topic, err)
	}
	return described[0].Configs, nil
}
