package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// topic is a topic's name on the stack's Kafka.
func (s *stack) topic(name string) string { return s.shared["kafka.topic_prefix"] + name }

// dump reads a topic from start to end, one partition after the other, as any
// client of Kafka would.
func (s *stack) dump(topic string) []*sarama.ConsumerMessage {
	s.t.Helper()
	cfg := sarama.NewConfig()
	cfg.Consumer.MaxWaitTime = 10 * time.Millisecond // each partition's end waits for it
	client, err := sarama.NewClient(s.brokers(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(consumer.Close(), client.Close()); err != nil {
			s.t.Error(err)
		}
	}()
	partitions, err := client.Partitions(s.topic(topic))
	if err != nil {
		s.t.Fatal(err)
	}
	readers := make([]sarama.PartitionConsumer, len(partitions)) // all at once: sarama takes its time for each
	for i, partition := range partitions {
		if readers[i], err = consumer.ConsumePartition(s.topic(topic), partition, sarama.OffsetOldest); err != nil {
			s.t.Fatal(err)
		}
		defer readers[i].AsyncClose()
	}
	var all []*sarama.ConsumerMessage
	for i, partition := range partitions {
		end, err := client.GetOffset(s.topic(topic), partition, sarama.OffsetNewest)
		if err != nil {
			s.t.Fatal(err)
		}
		for next := int64(0); next < end; {
			select {
			case m := <-readers[i].Messages():
				all = append(all, m)
				next = m.Offset + 1
			case <-time.After(patience):
				s.t.Fatalf("%s, partition %d: read up to offset %d, and it ends at %d", topic, partition, next, end)
			}
		}
	}
	return all
}

// history is the records that count, by stream, once every command is decided.
// Every message in the log must be as Millrace writes messages, and every chain
// whole. Every command must have ended as one counting record, in the order in
// which the commands of the stream came.
func (s *stack) history() map[string][]eventlog.Record {
	s.t.Helper()
	var accepted map[string][]eventlog.Record
	eventually(s.t, "every command is decided once and in order", func() error {
		asked := map[string][]string{}
		for _, m := range s.dump(eventlog.TopicCommands) {
			stream, id := string(m.Key), header(m, eventlog.HeaderCommandID)
			if !slices.Contains(asked[stream], id) {
				asked[stream] = append(asked[stream], id)
			}
		}
		accepted = s.readLog()
		decided := map[string][]string{}
		for stream, records := range accepted {
			for _, r := range records {
				decided[stream] = append(decided[stream], r.CommandID)
			}
		}
		if diff := cmp.Diff(asked, decided); diff != "" {
			return fmt.Errorf("command ids by stream (-asked +decided):\n%s", diff)
		}
		return nil
	})
	return accepted
}

// readLog reads the log to its end, through the gate.
func (s *stack) readLog() map[string][]eventlog.Record {
	s.t.Helper()
	kafka := &kafka.Kafka{
		Brokers: s.brokers(), Prefix: s.topic(""),
		Partitions: s.partitions(),
		Log:        slog.New(slog.DiscardHandler),
	}
	reader, err := kafka.LogReader()
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := reader.Close(); err != nil {
			s.t.Error(err)
		}
	}()
	accepted := make([]map[string][]eventlog.Record, kafka.Partitions)
	reads, ctx := errgroup.WithContext(s.t.Context())
	for partition := range kafka.Partitions {
		reads.Go(func() (err error) {
			accepted[partition], err = readPartition(ctx, reader, partition)
			return err
		})
	}
	if err := reads.Wait(); err != nil {
		s.t.Fatal(err)
	}
	all := map[string][]eventlog.Record{}
	for _, streams := range accepted {
		maps.Copy(all, streams)
	}
	return all
}

func readPartition(ctx context.Context, reader *kafka.LogReader, partition int32) (map[string][]eventlog.Record, error) {
	heads := map[string]eventlog.Head{}
	accepted := map[string][]eventlog.Record{}
	end, err := reader.End(ctx, partition)
	if err != nil || end == 0 {
		return accepted, err
	}
	atEnd := errors.New("at the end")
	err = reader.Follow(ctx, partition, 0, func(records []eventlog.Record) error {
		for i := range records {
			r := &records[i]
			if err := errors.Join(r.Malformed, r.Unreadable); err != nil {
				return fmt.Errorf("partition %d, offset %d: %w", partition, r.Offset, err)
			}
			if head, ok := heads[r.Stream].Accept(r); ok {
				heads[r.Stream] = head
				accepted[r.Stream] = append(accepted[r.Stream], *r)
			}
		}
		if records[len(records)-1].Offset >= end-1 {
			return atEnd
		}
		return nil
	})
	if errors.Is(err, atEnd) {
		err = nil
	}
	return accepted, err
}

// waitForUsers waits until the read model shows exactly the log.
func (s *stack) waitForUsers(history map[string][]eventlog.Record) {
	s.t.Helper()
	want := map[users.ID]user{}
	for stream, records := range history {
		var state users.User
		name, id, _ := aggregate.SplitStream(stream)
		if name != users.Aggregate.Name() {
			continue
		}
		for _, r := range records {
			if !eventlog.IsEvent(r.Type) {
				continue
			}
			event, err := users.Aggregate.DecodeEvent(r.Type, r.Body)
			if err != nil {
				s.t.Fatal(err)
			}
			state, _ = users.Aggregate.Apply(state, event).(users.User)
		}
		if state.Status == users.Active || state.Status == users.Inactive {
			want[users.ID(id)] = user{
				ID: users.ID(id), Name: string(state.Name),
				Version: records[len(records)-1].Version, Active: state.Status == users.Active,
			}
		}
	}
	eventually(s.t, "the read model shows what the log says", func() error {
		got, err := s.readUsers()
		if err != nil {
			return err
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return fmt.Errorf("users (-log +read model):\n%s", diff)
		}
		return nil
	})
}

// header is the value of a header, "" if the header is missing.
func header(m *sarama.ConsumerMessage, key string) string {
	for _, h := range m.Headers {
		if string(h.Key) == key {
			return string(h.Value)
		}
	}
	return ""
}

// userStream is the name of a user's stream.
func userStream(id users.ID) string { return users.Aggregate.Stream(string(id)) }
