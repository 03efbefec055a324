package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/testing/torture/history"
)

// dump reads both topics to their end.
func dump(ctx context.Context, brokers []string) (*history.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	kafka := &kafka.Kafka{Brokers: brokers, Partitions: partitions, Replication: 1, Log: slog.New(slog.DiscardHandler)}
	log := &history.Log{Partitions: partitions, Records: map[int32][]eventlog.Record{}, Commands: map[int32]map[int64]history.CommandKey{}, Operators: map[history.CommandKey]history.OperatorCommand{}}
	reader, err := kafka.LogReader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	records := make([][]eventlog.Record, partitions)
	var reads errgroup.Group
	for partition := range int32(partitions) {
		reads.Go(func() (err error) {
			records[partition], err = readRecords(ctx, reader, partition)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	for partition := range int32(partitions) {
		log.Records[partition] = records[partition]
		if err = readCommands(ctx, brokers, kafka.Topic(eventlog.TopicCommands), partition, log); err != nil {
			return nil, fmt.Errorf("read the commands: %w", err)
		}
	}
	return log, nil
}

func readRecords(ctx context.Context, reader *kafka.LogReader, partition int32) (all []eventlog.Record, err error) {
	end, err := reader.End(ctx, partition)
	if err != nil || end == 0 {
		return nil, err
	}
	atEnd := errors.New("at the end")
	err = reader.Follow(ctx, partition, 0, func(records []eventlog.Record) error {
		all = append(all, records...)
		if records[len(records)-1].Offset >= end-1 {
			return atEnd
		}
		return nil
	})
	if errors.Is(err, atEnd) {
		err = nil
	}
	return all, err
}

// readCommands reads the keys of the commands in a partition of topic commands,
// and the commands of operators.
func readCommands(ctx context.Context, brokers []string, topic string, partition int32, log *history.Log) error {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient(brokers, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil || end == 0 {
		return err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return err
	}
	defer func() { _ = consumer.Close() }()
	messages, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	defer func() { _ = messages.Close() }()
	all := map[int64]history.CommandKey{}
	log.Commands[partition] = all
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-messages.Messages():
			key := history.CommandKey{User: history.UserOf(string(m.Key)), ID: header(m, eventlog.HeaderCommandID)}
			all[m.Offset] = key
			if err := readOperator(m, key, log); err != nil {
				return fmt.Errorf("offset %d: %w", m.Offset, err)
			}
			if m.Offset >= end-1 {
				return nil
			}
		}
	}
}

// readOperator notes an operator's command.
func readOperator(m *sarama.ConsumerMessage, key history.CommandKey, log *history.Log) error {
	o := history.OperatorCommand{Type: header(m, eventlog.HeaderType)}
	if o.Type != history.Requeue && o.Type != history.Drop {
		return nil
	}
	var body struct {
		CommandID string `json:"commandId"`
	}
	err := json.Unmarshal(m.Value, &body)
	o.CommandID = body.CommandID
	log.Operators[key] = o
	return err
}

func header(m *sarama.ConsumerMessage, key string) string {
	for _, h := range m.Headers {
		if string(h.Key) == key {
			return string(h.Value)
		}
	}
	return ""
}
