package service

import (
	"context"
	"slices"
	"time"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/eventlog"
)

func (m *Process) settingsView(cfg config.Config) *console.Settings {
	return &console.Settings{
		InForce: cfg.Settings(m.Sources), Build: buildOf(), Started: time.Now(), Topics: m.topicsOnKafka, Groups: m.groupsOnKafka,
	}
}

// topicsOnKafka are the topics of the service.
func (m *Process) topicsOnKafka(ctx context.Context) (topics []console.Topic, err error) {
	for _, name := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
		ranges, err := m.kafka.Ranges(ctx, name)
		if err != nil {
			return nil, err
		}
		topic := console.Topic{Name: m.kafka.Topic(name), Partitions: make([]console.TopicPartition, len(ranges))}
		for partition, r := range ranges {
			topic.Kept += r.End - r.First
			topic.Partitions[partition] = console.TopicPartition{Partition: int32(partition), First: r.First, End: r.End}
		}
		topics = append(topics, topic)
	}
	return topics, nil
}

// groupsOnKafka are the consumer groups of the service. A group that has marked
// nothing in a partition has everything before it.
func (m *Process) groupsOnKafka(ctx context.Context) (groups []console.Group, err error) {
	topics := map[string]string{m.kafka.Group("command-service"): eventlog.TopicCommands}
	for _, p := range m.Service.projections() {
		topics[m.kafka.Group("query-service", p.Name)] = eventlog.TopicEvents
	}
	ends := map[string][]console.TopicPartition{}
	known, err := m.topicsOnKafka(ctx)
	if err != nil {
		return nil, err
	}
	for _, topic := range known {
		ends[topic.Name] = topic.Partitions
	}
	for _, name := range sortedKeys(topics) {
		committed, err := m.kafka.CommittedOffsets(ctx, name, topics[name])
		if err != nil {
			return nil, err
		}
		group := console.Group{Name: name, Topic: m.kafka.Topic(topics[name]), Partitions: []console.GroupPartition{}}
		for _, p := range ends[group.Topic] {
			next, ok := committed[p.Partition]
			if !ok {
				next = p.First
			}
			lag := max(0, p.End-next)
			group.Lag += lag
			group.Partitions = append(group.Partitions, console.GroupPartition{Partition: p.Partition, Committed: next, Lag: lag})
		}
		groups = append(groups, group)
	}
	return slices.Clip(groups), nil
}
