package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/gorilla/mux"
	_ "modernc.org/sqlite" // the driver

	"github.com/millrace/millrace/messaging"
)

// startPlain is what one writes from Watermill's examples: publish the
// command, handle it, publish the event, project it, a message at a time and
// a transaction an event; on the same broker, with the same acks, into the
// same kind of store.
func startPlain(ctx context.Context, dir string) (at target, err error) {
	broker, err := messaging.StartBroker("localhost:0", dir, false, slog.New(slog.DiscardHandler))
	if err != nil {
		return at, err
	}
	k := &messaging.Kafka{Brokers: []string{broker.Addr()}, Partitions: 12, Replication: 1, Log: slog.New(slog.DiscardHandler)}
	if _, err := k.EnsureTopics(ctx); err != nil {
		return at, err
	}
	marshaler := kafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get("key"), nil
	})
	config := kafka.DefaultSaramaSyncPublisherConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{Brokers: k.Brokers, Marshaler: marshaler, OverwriteSaramaConfig: config}, nil)
	if err != nil {
		return at, err
	}
	subscriber := func(group string) (*kafka.Subscriber, error) {
		config := kafka.DefaultSaramaSubscriberConfig()
		config.Consumer.Offsets.Initial = sarama.OffsetOldest
		return kafka.NewSubscriber(kafka.SubscriberConfig{Brokers: k.Brokers, Unmarshaler: marshaler, ConsumerGroup: group, OverwriteSaramaConfig: config}, nil)
	}
	commands, err := subscriber("commands")
	if err != nil {
		return at, err
	}
	events, err := subscriber("events")
	if err != nil {
		return at, err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "plain.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return at, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)"); err != nil {
		return at, err
	}
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		return at, err
	}
	router.AddHandler("handle", messaging.TopicCommands, commands, messaging.TopicEvents, publisher, func(m *message.Message) ([]*message.Message, error) {
		event := message.NewMessage(watermill.NewUUID(), m.Payload)
		event.Metadata.Set("key", m.Metadata.Get("key"))
		return []*message.Message{event}, nil
	})
	router.AddConsumerHandler("project", messaging.TopicEvents, events, func(m *message.Message) error {
		return project(m.Context(), db, m.Payload)
	})
	routed := make(chan error, 1)
	go func() { routed <- router.Run(context.WithoutCancel(ctx)) }()
	<-router.Running()
	server := httptest.NewServer(plainGateway(publisher))
	return target{
		url: server.URL + "/commands",
		done: func(last int) (bool, error) {
			var n int
			err := db.QueryRowContext(ctx, "SELECT count(*) FROM users").Scan(&n)
			return n >= last, err
		},
		stop: func() {
			server.Close()
			_ = errors.Join(router.Close(), <-routed, publisher.Close(), db.Close(), broker.Close()) // it has been measured
		},
	}, nil
}

func project(ctx context.Context, db *sql.DB, body []byte) error {
	var c command
	if err := json.Unmarshal(body, &c); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "INSERT INTO users VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name", c.Payload.ID, c.Payload.Name); err != nil {
		return err
	}
	return tx.Commit()
}

func plainGateway(publisher message.Publisher) http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var c command
		if err == nil {
			err = json.Unmarshal(body, &c)
		}
		if err == nil {
			m := message.NewMessage(watermill.NewUUID(), body)
			m.Metadata.Set("key", strconv.Itoa(c.Payload.ID))
			err = publisher.Publish(messaging.TopicCommands, m)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_, _ = fmt.Fprintf(w, `{"status":"accepted"}`) // the client is gone
	}).Methods(http.MethodPost)
	return router
}
