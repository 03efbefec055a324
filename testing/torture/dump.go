package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/testing/torture/history"
	"github.com/millrace/millrace/testing/torture/hostile"
)

// dump reads all topics to their end.
func dump(ctx context.Context, c *cluster) (*history.Log, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	kafka, brokers := c.kafka(), c.brokers()
	log := &history.Log{
		Partitions: partitions, Records: map[int32][]eventlog.Record{}, Commands: map[int32]map[int64]history.CommandKey{},
		Operators: map[history.CommandKey]history.OperatorCommand{}, DeadLetters: map[history.Place]int{},
		HostileCommands: map[history.Place]history.HostileRecord{}, HostileRecords: map[history.Place]history.HostileRecord{},
	}
	reader, err := kafka.LogReader()
	if err != nil {
		return nil, err
	}
	defer func() { _ = reader.Close() }()
	records := make([][]eventlog.Record, partitions)
	var reads errgroup.Group
	for partition := range int32(partitions) {
		reads.Go(func() (err error) {
			records[partition], err = readRecords(ctx, reader, partition, 0)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	for partition := range int32(partitions) {
		log.Records[partition], log.Commands[partition] = records[partition], map[int64]history.CommandKey{}
	}
	for name, note := range map[string]func(*kgo.Record) error{
		eventlog.TopicCommands:    func(r *kgo.Record) error { return noteCommand(r, log) },
		eventlog.TopicDeadLetters: func(r *kgo.Record) error { return noteDeadLetter(r, log) },
		eventlog.TopicEvents: func(r *kgo.Record) error {
			if fate, kind := hostile.Mark(r); fate != "" {
				log.HostileRecords[history.Place{Partition: r.Partition, Offset: r.Offset}] = history.HostileRecord{Fate: fate, Kind: kind}
			}
			return nil
		},
	} {
		if err := readTopic(ctx, brokers, kafka.Topic(name), note); err != nil {
			return nil, fmt.Errorf("read topic %s: %w", name, err)
		}
	}
	return log, nil
}

// readRecords reads a partition of topic events from an offset to the present end.
func readRecords(ctx context.Context, reader *kafka.LogReader, partition int32, from int64) (all []eventlog.Record, err error) {
	end, err := reader.End(ctx, partition)
	if err != nil || end <= from {
		return nil, err
	}
	atEnd := errors.New("at the end")
	err = reader.Follow(ctx, partition, from, func(records []eventlog.Record) error {
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

// readTopic calls fn with each record of a topic, up to its present end.
func readTopic(ctx context.Context, brokers []string, topic string, fn func(*kgo.Record) error) error {
	cfg := sarama.NewConfig()
	cfg.Version = sarama.V2_8_0_0
	client, err := sarama.NewClient(brokers, cfg)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for partition := range int32(partitions) {
		end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
		if err != nil {
			return err
		}
		if err := hostile.Read(ctx, brokers, topic, partition, end, fn); err != nil {
			return fmt.Errorf("partition %d of %s: %w", partition, topic, err)
		}
	}
	return nil
}

// noteCommand notes the key of a command, and the commands of operators.
func noteCommand(r *kgo.Record, log *history.Log) error {
	at, key := history.Place{Partition: r.Partition, Offset: r.Offset}, history.CommandKey{User: history.UserOf(string(r.Key)), ID: header(r, eventlog.HeaderCommandID)}
	if fate, kind := hostile.Mark(r); fate != "" {
		log.HostileCommands[at] = history.HostileRecord{Fate: fate, Kind: kind, Key: key}
		return nil
	}
	if len(r.Key) == 0 && header(r, eventlog.HeaderType) == eventlog.FillerType {
		return nil // the guard's, after topic commands has lost its end
	}
	log.Commands[r.Partition][r.Offset] = key
	o := history.OperatorCommand{Type: header(r, eventlog.HeaderType)}
	if o.Type != history.Requeue && o.Type != history.Drop || hostile.IsStream(key.User) {
		return nil
	}
	var body struct {
		CommandID string `json:"commandId"`
	}
	if err := json.Unmarshal(r.Value, &body); err != nil {
		return fmt.Errorf("offset %d: %w", r.Offset, err)
	}
	o.CommandID = body.CommandID
	log.Operators[key] = o
	return nil
}

// noteDeadLetter notes where a dead letter was.
func noteDeadLetter(r *kgo.Record, log *history.Log) error {
	partition, err := strconv.ParseInt(header(r, "partition_poisoned"), 10, 32)
	if err != nil {
		return err
	}
	offset, err := strconv.ParseInt(header(r, "offset_poisoned"), 10, 64)
	if err != nil {
		return err
	}
	log.DeadLetters[history.Place{Partition: int32(partition), Offset: offset}]++
	return nil
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
