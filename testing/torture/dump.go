package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/testing/torture/history"
)

// dump reads both topics to their end.
func dump(ctx context.Context, brokers []string) (*history.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	kafka := &messaging.Kafka{Brokers: brokers, Partitions: partitions, Replication: 1, Log: slog.New(slog.DiscardHandler)}
	log := &history.Log{Partitions: partitions, Records: map[int32][]messaging.Record{}, Commands: map[int32]map[int64]history.CommandKey{}}
	reader, err := kafka.LogReader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	records := make([][]messaging.Record, partitions)
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
		if log.Commands[partition], err = readCommands(ctx, brokers, kafka.Topic(messaging.TopicCommands), partition); err != nil {
			return nil, fmt.Errorf("read the commands: %w", err)
		}
	}
	return log, nil
}

func readRecords(ctx context.Context, reader *messaging.LogReader, partition int32) (all []messaging.Record, err error) {
	end, err := reader.End(ctx, partition)
	if err != nil || end == 0 {
		return nil, err
	}
	atEnd := errors.New("at the end")
	err = reader.Follow(ctx, partition, 0, func(records []messaging.Record) error {
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

// readCommands reads who sent what in a partition of topic commands.
func readCommands(ctx context.Context, brokers []string, topic string, partition int32) (map[int64]history.CommandKey, error) {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient(brokers, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { _ = client.Close() }()
	end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil || end == 0 {
		return nil, err
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		return nil, err
	}
	defer func() { _ = consumer.Close() }()
	messages, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = messages.Close() }()
	all := map[int64]history.CommandKey{}
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case m := <-messages.Messages():
			all[m.Offset] = history.CommandKey{User: string(m.Key), ID: commandID(m)}
			if m.Offset >= end-1 {
				return all, nil
			}
		}
	}
}

func commandID(m *sarama.ConsumerMessage) string {
	for _, h := range m.Headers {
		if string(h.Key) == messaging.HeaderCommandID {
			return string(h.Value)
		}
	}
	return ""
}
