package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/messaging"
)

// partitions is how many the log has: as many as Millrace's, if it isn't told
// otherwise.
const partitions = 12

// eventsAUser is how often a user occurs in the log: created once, and renamed
// later, when others have come.
const eventsAUser = 4

// foldLog is a log on an embedded broker, in this process.
type foldLog struct {
	broker *messaging.Broker
	*messaging.Kafka
	heads map[string]messaging.Head
	ends  [partitions]int64
	n     int
}

func newFoldLog(ctx context.Context, dir string) (*foldLog, error) {
	quiet := slog.New(slog.DiscardHandler)
	broker, err := messaging.StartBroker("localhost:0", filepath.Join(dir, "broker"), false, messaging.Security{}, quiet)
	if err != nil {
		return nil, err
	}
	k := &messaging.Kafka{Brokers: []string{broker.Addr()}, Partitions: partitions, Replication: 1, Log: quiet}
	if _, err := k.EnsureTopics(ctx); err != nil {
		return nil, errors.Join(err, broker.Close())
	}
	return &foldLog{broker: broker, Kafka: k, heads: map[string]messaging.Head{}}, nil
}

func (l *foldLog) close() { _ = l.broker.Close() } // it has been measured

// next makes the log's next record: of users in turn, some hundred thousand
// others between two of the same one.
func (l *foldLog) next(events int) *messaging.Record {
	users := max(events/eventsAUser, 1)
	user, kind := l.n%users, "userRenamed"
	if l.n < users {
		kind = "userCreated"
	}
	stream := strconv.Itoa(user * 7919 % users) // in no order
	head := l.heads[stream]
	r := &messaging.Record{
		Type: kind, Stream: stream, Seq: head.Seq + 1, Prev: head.Digest, Version: head.Version + 1,
		Time: time.Now(), CommandID: "c-" + strconv.Itoa(l.n), CommandHash: "of no use here",
		CommandPosition: messaging.CommandPosition{TopicID: "q2Hn6X9yTkOYw1mVbZ0aLg", Offset: int64(l.n)},
		Body:            fmt.Appendf(nil, `{"id":%s,"name":"Name %d"}`, stream, l.n),
	}
	r.Partition = messaging.PartitionOf(stream, partitions)
	r.Offset = l.ends[r.Partition]
	r.Seal()
	l.heads[stream] = messaging.Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}
	l.ends[r.Partition]++
	l.n++
	return r
}

// fill appends so many events.
func (l *foldLog) fill(events int) error {
	bus, err := l.EventBus()
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	var appends sync.WaitGroup
	for range events {
		appends.Add(1)
		bus.Append(l.next(events), func(err error) {
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
			appends.Done()
		})
	}
	appends.Wait()
	return errors.Join(failed, bus.Close())
}

// decode reads the log with a plain consumer on the same client, which only
// decodes each event's JSON.
func (l *foldLog) decode() error {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	consumer, err := sarama.NewConsumer(l.Brokers, config)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	var failed error
	var reads sync.WaitGroup
	for partition, left := range l.ends {
		if left == 0 {
			continue
		}
		from, err := consumer.ConsumePartition(l.Topic(messaging.TopicEvents), int32(partition), sarama.OffsetOldest)
		if err != nil {
			return err
		}
		reads.Go(func() {
			for m := range from.Messages() {
				var event struct {
					ID   json.RawMessage `json:"id"`
					Name string          `json:"name"`
				}
				if err := json.Unmarshal(m.Value, &event); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
				if left--; left == 0 {
					from.AsyncClose()
				}
			}
		})
	}
	reads.Wait()
	return errors.Join(failed, consumer.Close())
}
