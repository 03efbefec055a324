package config

import (
	"maps"
	"slices"
	"strings"
)

// PublicTopic is a topic with the events of an aggregate, for other teams.
type PublicTopic struct {
	Aggregate string
	Topic     string // whole, as in Kafka
}

// PublicTopics are the topics of publish; plurals are the plurals by aggregate.
func (c Config) PublicTopics(plurals map[string]string) []PublicTopic {
	topics := make([]PublicTopic, 0, len(c.Publish))
	for _, item := range c.Publish {
		topics = append(topics, c.publicTopic(item, plurals))
	}
	return topics
}

func (c Config) publicTopic(item string, plurals map[string]string) PublicTopic {
	aggregate, topic, named := strings.Cut(item, "=")
	if !named {
		topic = c.Kafka.TopicPrefix + plurals[aggregate]
	}
	return PublicTopic{aggregate, topic}
}

// checkPublish wants existing aggregates, and each topic once.
func (l *loader) checkPublish() {
	const key = "publish"
	if !l.ok(key, "kafka.topic_prefix") {
		return
	}
	fail := func(item, reason string) {
		l.add(Problem{Key: key, Value: quoted(item), Source: l.sourceOf(key), Reason: reason})
	}
	prefix := l.config.Kafka.TopicPrefix
	taken := []string{prefix + "commands", prefix + "events", prefix + "dead-letters"}
	for _, item := range l.config.Publish {
		t := l.config.publicTopic(item, l.service.Plurals)
		switch _, known := l.service.Plurals[t.Aggregate]; {
		case !known:
			fail(item, "must be one of "+strings.Join(slices.Sorted(maps.Keys(l.service.Plurals)), ", ")+", or one with =topic")
		case slices.Contains(taken[:3], t.Topic):
			fail(item, "must have another topic: "+t.Topic+" is the router's own")
		case slices.Contains(taken, t.Topic):
			fail(item, "must have a topic of its own: "+t.Topic+" is there twice")
		}
		taken = append(taken, t.Topic)
	}
}
