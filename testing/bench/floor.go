package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/gorilla/mux"
	"github.com/rcrowley/go-metrics"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// The floor is the cost of the libraries themselves: a command's way through
// net/http and mux, sarama, the broker and SQLite, with nothing in between. No
// Watermill, no groups and offsets, no headers, rules, outcomes, positions,
// metrics: messages go from one topic to the other in bulk, and many rows share
// a transaction. No router with promises can be faster on these libraries.

// floorLinger is how long the producer gathers messages for a request. floorBatch is
// the largest number of events in a transaction. Both are as in Millrace.
const (
	floorLinger = 2 * time.Millisecond
	floorBatch  = 1000
)

// floorLine is the floor, wired.
type floorLine struct {
	log       *kafka.Kafka
	config    *sarama.Config
	producer  sarama.AsyncProducer
	consumers []sarama.Consumer // a consumer for each topic: the topics of a consumer wait for each other
	readers   []sarama.PartitionConsumer

	projected atomic.Int64
	running   *errgroup.Group
}

func serveFloor(ctx context.Context, dir string, out io.Writer) error {
	metrics.UseNilMetrics = true
	log, done, err := openLog(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	db, err := openPlain(ctx, filepath.Join(dir, "floor.db"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	running, ctx := errgroup.WithContext(ctx)
	f, err := newFloor(ctx, log, db, running)
	if err != nil {
		return err
	}
	server := httptest.NewServer(f.http())
	defer server.Close()
	fmt.Fprintf(out, "commands %s/commands\ndone %s/done\n\n", server.URL, server.URL)
	<-ctx.Done()
	return f.close()
}

func newFloor(ctx context.Context, log *kafka.Kafka, db *sql.DB, running *errgroup.Group) (*floorLine, error) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	config.Producer.Flush.Frequency = floorLinger
	config.Producer.Return.Successes = true
	config.ChannelBufferSize = 1 << 12
	producer, err := sarama.NewAsyncProducer(log.Brokers, config)
	if err != nil {
		return nil, err
	}
	f := &floorLine{log: log, config: config, producer: producer, running: running}
	running.Go(func() error {
		for m := range f.producer.Successes() {
			if sent, ok := m.Metadata.(chan struct{}); ok {
				sent <- struct{}{}
			}
		}
		return nil
	})
	running.Go(func() error {
		for err := range f.producer.Errors() {
			return err
		}
		return nil
	})
	events := make(chan UserCreated, floorBatch)
	running.Go(func() error { return f.project(context.WithoutCancel(ctx), db, events) })
	var readers sync.WaitGroup
	err = f.read(eventlog.TopicCommands, &readers, f.handle)
	if err == nil {
		err = f.read(eventlog.TopicEvents, &readers, func(m *sarama.ConsumerMessage) error {
			var e UserCreated
			err := json.Unmarshal(m.Value, &e)
			events <- e
			return err
		})
	}
	running.Go(func() error {
		readers.Wait()
		close(events)
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// close ends the floor. Messages under way are lost; all is measured.
func (f *floorLine) close() error {
	var failed error
	for _, r := range f.readers {
		failed = errors.Join(failed, r.Close())
	}
	for _, c := range f.consumers {
		failed = errors.Join(failed, c.Close())
	}
	return errors.Join(failed, f.producer.Close(), f.running.Wait())
}

// read calls fn for all messages of a topic; in order, for the messages of a
// partition.
func (f *floorLine) read(topic string, readers *sync.WaitGroup, fn func(*sarama.ConsumerMessage) error) error {
	consumer, err := sarama.NewConsumer(f.log.Brokers, f.config)
	if err != nil {
		return err
	}
	f.consumers = append(f.consumers, consumer)
	for partition := range f.log.Partitions {
		reader, err := consumer.ConsumePartition(f.log.Topic(topic), partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		f.readers = append(f.readers, reader)
		readers.Add(1)
		f.running.Go(func() error {
			defer readers.Done()
			for m := range reader.Messages() {
				if err := fn(m); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// handle turns a command into an event.
func (f *floorLine) handle(m *sarama.ConsumerMessage) error {
	var c CreateUser
	if err := json.Unmarshal(m.Value, &c); err != nil {
		return err
	}
	body, err := json.Marshal(UserCreated{ID: c.ID, Name: c.Name, At: time.Now()})
	if err != nil {
		return err
	}
	f.producer.Input() <- &sarama.ProducerMessage{Topic: f.log.Topic(eventlog.TopicEvents), Key: sarama.ByteEncoder(m.Key), Value: sarama.ByteEncoder(body)}
	return nil
}

// project folds events into rows. All waiting events share a transaction.
func (f *floorLine) project(ctx context.Context, db *sql.DB, events <-chan UserCreated) error {
	insert, err := db.PrepareContext(ctx, plainUpsert)
	if err != nil {
		return err
	}
	for e := range events {
		batch := []UserCreated{e}
		for more := true; more && len(batch) < floorBatch; {
			select {
			case e, more = <-events:
				if more {
					batch = append(batch, e)
				}
			default:
				more = false
			}
		}
		if err := write(ctx, db, insert, batch); err != nil {
			return err
		}
		f.projected.Add(int64(len(batch)))
	}
	return nil
}

// write writes a batch in a transaction.
func write(ctx context.Context, db *sql.DB, insert *sql.Stmt, batch []UserCreated) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	into := tx.StmtContext(ctx, insert)
	defer func() { _ = into.Close() }()
	for i := range batch {
		if _, err := into.ExecContext(ctx, plainRow(&batch[i])...); err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (f *floorLine) http() http.Handler {
	router := mux.NewRouter()
	topic := f.log.Topic(eventlog.TopicCommands)
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body, err := json.Marshal(CreateUser{ID: c.Payload.ID, Name: c.Payload.Name})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		sent := make(chan struct{}, 1)
		f.producer.Input() <- &sarama.ProducerMessage{
			Topic: topic, Key: sarama.StringEncoder(strconv.Itoa(c.Payload.ID)), Value: sarama.ByteEncoder(body), Metadata: sent,
		}
		<-sent
		accept(w)
	}).Methods(http.MethodPost)
	router.HandleFunc("/done", doneWhen(&f.projected)).Methods(http.MethodGet)
	return router
}
