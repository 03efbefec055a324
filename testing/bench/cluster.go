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

// realBrokers are the brokers of $KAFKA_BROKERS, for all logs. Without brokers, nil,
// each contender has an embedded broker.
func realBrokers() []string {
	if brokers := os.Getenv("KAFKA_BROKERS"); brokers != "" {
		return strings.Split(brokers, ",")
	}
	return nil
}

// where names the brokers of a run, for the heading of the table.
func where() string {
	if brokers := realBrokers(); brokers != nil {
		return "Kafka at " + strings.Join(brokers, ", ") + ", one copy of each topic; processor times and memory are without the brokers'"
	}
	return "an embedded broker in the process of each contender: processor times and memory are with it"
}

// logIn is the log of a contender in a folder. On a real cluster the names of topics
// and groups begin with the name of the folder. An embedded broker has a single log;
// the caller sets the address.
func logIn(dir string) *kafka.Kafka {
	k := &kafka.Kafka{Brokers: realBrokers(), Partitions: partitions, Replication: 1, Log: slog.New(slog.DiscardHandler)}
	if k.Brokers != nil {
		k.Prefix = filepath.Base(dir) + "."
	}
	return k
}

// openLog makes the topics of the log in dir. Without a real cluster, openLog starts
// an embedded broker, with its data where a Millrace in dir has its data.
func openLog(ctx context.Context, dir string) (k *kafka.Kafka, done func() error, err error) {
	k, done = logIn(dir), func() error { return nil }
	if k.Brokers == nil {
		broker, err := embedded.Start("localhost:0", filepath.Join(dir, "data", "broker"), false, embedded.Security{}, k.Log)
		if err != nil {
			return nil, nil, err
		}
		k.Brokers, k.Near, done = []string{broker.Addr()}, broker.Dial, broker.Close
	}
	if _, err := k.EnsureTopics(ctx); err != nil {
		return nil, nil, errors.Join(err, done())
	}
	return k, done, nil
}

// deleteLog deletes the topics and groups of dir on the real cluster, if there is
// a cluster.
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
