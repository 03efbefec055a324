package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// partitions is the number of partitions, Millrace's default.
const partitions = 12

// eventsAUser is the number of events of a user: created, and renamed later, after
// events of other users.
const eventsAUser = 4

// foldLog is a log without a Millrace: on a real cluster, or on an embedded
// broker in this process.
type foldLog struct {
	*kafka.Kafka
	done  func() error // closes the embedded broker, if there is one
	heads map[string]eventlog.Head
	ends  [partitions]int64
	n     int
	first int // the first user of fill

	notBefore time.Time // not zero: commands that wait for this time, in place of events
}

func newFoldLog(ctx context.Context, dir string) (*foldLog, error) {
	k, done, err := openLog(ctx, dir)
	if err != nil {
		return nil, err
	}
	return &foldLog{Kafka: k, done: done, heads: map[string]eventlog.Head{}}, nil
}

func (l *foldLog) close() { _ = l.done() } // all is measured

// registry decodes events for the folds of the bench.
var registry = mustRegister(users.Aggregate)

func mustRegister(types ...*aggregate.Type) *aggregate.Registry {
	r, err := aggregate.NewRegistry(types...)
	if err != nil {
		panic(err) // the shipped service registers the same
	}
	return r
}

// next makes the next record of the log. Users take turns: between two records of a
// user are records of all other users.
func (l *foldLog) next(of int) *eventlog.Record {
	user, kind := l.n%of, "userRenamed"
	if l.n < of {
		kind = "userCreated"
	}
	id := strconv.Itoa(l.first + user*7919%of) // in no order
	stream := users.Aggregate.Stream(id)
	head := l.heads[stream]
	r := &eventlog.Record{
		Type: kind, Stream: stream, Seq: head.Seq + 1, Prev: head.Digest, Version: head.Version + 1,
		Time: time.Now(), CommandID: uuid.Must(uuid.NewV7()).String(),
		CommandPosition: eventlog.CommandPosition{TopicID: "q2Hn6X9yTkOYw1mVbZ0aLg", Offset: int64(l.n)},
		Body:            fmt.Appendf(nil, `{"id":%s,"name":"Name %d"}`, id, l.n),
	}
	if !l.notBefore.IsZero() {
		l.schedule(r, id)
	}
	hash := sha256.Sum256(r.Body)
	r.CommandHash = hex.EncodeToString(hash[:])
	r.Partition = eventlog.PartitionOf(stream, partitions)
	r.Offset = l.ends[r.Partition]
	r.Seal()
	l.heads[stream] = eventlog.Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}
	l.ends[r.Partition]++
	l.n++
	return r
}

// underWay bounds the records of fill that Kafka has not acknowledged: more would
// wait too long in the producer of a busy machine.
const underWay = 20_000

// fill appends events of a number of users. The error is the first.
func (l *foldLog) fill(events, users int) error {
	bus, err := l.EventBus()
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	room := semaphore.NewWeighted(underWay)
	for range events {
		if err := room.Acquire(context.Background(), 1); err != nil {
			return errors.Join(err, bus.Close())
		}
		bus.Append(l.next(users), func(err error) {
			if err != nil {
				select {
				case failed <- err:
				default: // not the first
				}
			}
			room.Release(1)
		})
	}
	err = room.Acquire(context.Background(), underWay)
	select {
	case first := <-failed:
		err = errors.Join(err, first)
	default:
	}
	return errors.Join(err, bus.Close())
}

// decode reads the log with a plain consumer of the same client library, and only
// decodes the JSON of each event.
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
		from, err := consumer.ConsumePartition(l.Topic(eventlog.TopicEvents), int32(partition), sarama.OffsetOldest)
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
