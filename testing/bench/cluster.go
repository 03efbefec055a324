package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/kafka/embedded"
)

// realBrokers are the brokers of $KAFKA_BROKERS. If there are any, all logs are
// on that cluster; if it is nil, each contender has an embedded broker of its
// own.
func realBrokers() []string {
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		return strings.Split(brokers, ",")
	}
	return nil
}

// where says which brokers a run is measured on.
func where() string {
	if brokers := realBrokers(); brokers != nil {
		return "Kafka at " + strings.Join(brokers, ", ") + ", one copy of each topic; processor times and memory are without the brokers'"
	}
	return "an embedded broker in the process of each contender: processor times and memory are with it"
}

// logIn is the log of what works in a folder. On a real cluster its topics and
// groups begin with the folder's name, which no two runs share; an embedded
// broker has but one log, and who started it knows where it listens.
func logIn(dir string) *kafka.Kafka {
	k := &kafka.Kafka{Brokers: realBrokers(), Partitions: partitions, Replication: 1, Log: slog.New(slog.DiscardHandler)}
	if k.Brokers != nil {
		k.Prefix = filepath.Base(dir) + "."
	}
	return k
}

// openLog makes the topics of the log in dir. An embedded broker is started for
// them if there is no real one; it keeps them where a Millrace in dir would.
func openLog(ctx context.Context, dir string) (k *kafka.Kafka, done func() error, err error) {
	k, done = logIn(dir), func() error { return nil }
	if k.Brokers == nil {
		broker, err := embedded.Start("localhost:0", filepath.Join(dir, "data", "broker"), false, embedded.Security{}, k.Log)
		if err != nil {
			return nil, nil, err
		}
		k.Brokers, done = []string{broker.Addr()}, broker.Close
	}
	if _, err := k.EnsureTopics(ctx); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return k, done, nil
}

// deleteLog deletes what was made in dir's name on the real cluster, if there
// is one.
func deleteLog(dir string) error {
	k := logIn(dir)
	if k.Brokers == nil {
		return nil
	}
	client, err := sarama.NewClient(k.Brokers, sarama.NewConfig())
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	topics, failed := client.Topics()
	for _, topic := range topics {
		if strings.HasPrefix(topic, k.Prefix) {
			failed = errors.Join(failed, admin.DeleteTopic(topic))
		}
	}
	groups, err := admin.ListConsumerGroups()
	failed = errors.Join(failed, err)
	for group := range groups {
		if strings.HasPrefix(group, k.Prefix) {
			failed = errors.Join(failed, admin.DeleteConsumerGroup(group))
		}
	}
	if failed = errors.Join(failed, admin.Close()); failed != nil {
		return fmt.Errorf("delete what begins with %s: %w", k.Prefix, failed)
	}
	return nil
}
