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
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/gorilla/mux"
	_ "modernc.org/sqlite" // the driver

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// The plain contender is a service by Watermill's own documentation of CQRS (https://watermill.io/docs/cqrs/, and its example of ordered events
// on Kafka): command bus and processor, event bus and group processor, the
// JSON marshaler, a router with its recoverer, and a partition key so that a
// user's messages stay in order. Publisher and subscriber have Watermill's
// default settings, but for acks=all and the oldest offset. Broker, partitions,
// SQLite settings and the columns are Millrace's. Each event is a transaction.
// The plain contender has no rules and no outcomes, and handles a message that is
// delivered twice twice.

// CreateUser is the plain contender's command.
type CreateUser struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

// UserCreated is the plain contender's event.
type UserCreated struct {
	ID   int       `json:"id"`
	Name string    `json:"name"`
	At   time.Time `json:"at"`
}

// partitionKey is the metadata with the Kafka key.
const partitionKey = "partition_key"

func servePlain(ctx context.Context, dir string, out io.Writer) error {
	log, done, err := openLog(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	db, err := openPlain(ctx, filepath.Join(dir, "plain.db"))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	var projected atomic.Int64
	first := make(chan struct{}, 1)
	p, err := newPipeline(log, func(ctx context.Context, e *UserCreated) error {
		if err := project(ctx, db, e); err != nil {
			return err
		}
		if projected.Add(1) == 1 {
			select {
			case first <- struct{}{}:
			default:
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- p.router.Run(context.WithoutCancel(ctx)) }()
	<-p.router.Running()
	// The measure begins when Millrace has its partitions. Here, a first command
	// that comes through shows that both groups have their partitions.
	if err := p.commands.Send(ctx, &CreateUser{}); err != nil {
		return err
	}
	select {
	case <-first:
	case <-ctx.Done():
		return ctx.Err()
	}
	projected.Store(0)
	server := httptest.NewServer(plainHTTP(p.commands, &projected))
	defer server.Close()
	fmt.Fprintf(out, "commands %s/commands\ndone %s/done\n\n", server.URL, server.URL)
	<-ctx.Done()
	return errors.Join(p.router.Close(), <-ended, p.publisher.Close())
}

// pipeline is the wired parts of Watermill.
type pipeline struct {
	router    *message.Router
	publisher message.Publisher
	commands  *cqrs.CommandBus
}

func newPipeline(log *kafka.Kafka, project func(context.Context, *UserCreated) error) (p pipeline, err error) {
	logger := watermill.NopLogger{}
	onKafka := wmkafka.NewWithPartitioningMarshaler(func(_ string, m *message.Message) (string, error) {
		return m.Metadata.Get(partitionKey), nil
	})
	producer := wmkafka.DefaultSaramaSyncPublisherConfig()
	producer.Producer.RequiredAcks = sarama.WaitForAll // Millrace's; all else is Watermill's
	p.publisher, err = wmkafka.NewPublisher(wmkafka.PublisherConfig{Brokers: log.Brokers, Marshaler: onKafka, OverwriteSaramaConfig: producer}, logger)
	if err != nil {
		return p, err
	}
	subscriber := func(group string) (message.Subscriber, error) {
		consumer := wmkafka.DefaultSaramaSubscriberConfig()
		consumer.Consumer.Offsets.Initial = sarama.OffsetOldest // messages from before the group would be lost
		return wmkafka.NewSubscriber(wmkafka.SubscriberConfig{
			Brokers: log.Brokers, Unmarshaler: onKafka, ConsumerGroup: log.Prefix + group, OverwriteSaramaConfig: consumer,
		}, logger)
	}
	if p.router, err = message.NewRouter(message.RouterConfig{}, logger); err != nil {
		return p, err
	}
	p.router.AddMiddleware(middleware.Recoverer)

	marshaler := cqrs.JSONMarshaler{GenerateName: cqrs.StructName}
	p.commands, err = cqrs.NewCommandBusWithConfig(p.publisher, cqrs.CommandBusConfig{
		GeneratePublishTopic: func(cqrs.CommandBusGeneratePublishTopicParams) (string, error) {
			return log.Topic(eventlog.TopicCommands), nil
		},
		OnSend: func(params cqrs.CommandBusOnSendParams) error {
			command := params.Command.(*CreateUser) //nolint:errcheck // there is no other
			params.Message.Metadata.Set(partitionKey, strconv.Itoa(command.ID))
			return nil
		},
		Marshaler: marshaler, Logger: logger,
	})
	if err != nil {
		return p, err
	}
	events, err := cqrs.NewEventBusWithConfig(p.publisher, cqrs.EventBusConfig{
		GeneratePublishTopic: func(cqrs.GenerateEventPublishTopicParams) (string, error) {
			return log.Topic(eventlog.TopicEvents), nil
		},
		OnPublish: func(params cqrs.OnEventSendParams) error {
			event := params.Event.(*UserCreated) //nolint:errcheck // there is no other
			params.Message.Metadata.Set(partitionKey, strconv.Itoa(event.ID))
			return nil
		},
		Marshaler: marshaler, Logger: logger,
	})
	if err != nil {
		return p, err
	}
	commandProcessor, err := cqrs.NewCommandProcessorWithConfig(p.router, cqrs.CommandProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.CommandProcessorGenerateSubscribeTopicParams) (string, error) {
			return log.Topic(eventlog.TopicCommands), nil
		},
		SubscriberConstructor: func(params cqrs.CommandProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return subscriber(params.HandlerName)
		},
		Marshaler: marshaler, Logger: logger,
	})
	if err != nil {
		return p, err
	}
	err = commandProcessor.AddHandlers(cqrs.NewCommandHandler("CreateUserHandler", func(ctx context.Context, c *CreateUser) error {
		return events.Publish(ctx, &UserCreated{ID: c.ID, Name: c.Name, At: time.Now()})
	}))
	if err != nil {
		return p, err
	}
	eventProcessor, err := cqrs.NewEventGroupProcessorWithConfig(p.router, cqrs.EventGroupProcessorConfig{
		GenerateSubscribeTopic: func(cqrs.EventGroupProcessorGenerateSubscribeTopicParams) (string, error) {
			return log.Topic(eventlog.TopicEvents), nil
		},
		SubscriberConstructor: func(params cqrs.EventGroupProcessorSubscriberConstructorParams) (message.Subscriber, error) {
			return subscriber(params.EventGroupName)
		},
		Marshaler: marshaler, Logger: logger,
	})
	if err != nil {
		return p, err
	}
	return p, eventProcessor.AddHandlersGroup("users", cqrs.NewGroupEventHandler(project))
}

// openPlain opens a database with Millrace's settings for writing, and the
// columns of its user list.
func openPlain(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(10000)"+
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"+
		"&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(8192)&_pragma=journal_size_limit(67108864)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(ctx, `CREATE TABLE users (
		sort_key TEXT PRIMARY KEY, id TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
		active BOOLEAN NOT NULL, deleted BOOLEAN NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL
	) WITHOUT ROWID;
	CREATE INDEX users_by_name ON users (name, deleted, active, sort_key)`)
	return db, err
}

func project(ctx context.Context, db *sql.DB, e *UserCreated) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err = tx.ExecContext(ctx, plainUpsert, plainRow(e)...); err != nil {
		return err
	}
	return tx.Commit()
}

const plainUpsert = `INSERT INTO users VALUES (?, ?, ?, 1, TRUE, FALSE, ?, ?)
	ON CONFLICT (sort_key) DO UPDATE SET name = excluded.name, version = version + 1, updated_at = excluded.updated_at`

func plainRow(e *UserCreated) []any {
	at := e.At.UTC().Format("2006-01-02T15:04:05.000Z")
	return []any{fmt.Sprintf("%020d", e.ID), strconv.Itoa(e.ID), e.Name, at, at}
}

// plainHTTP takes commands, and says whether all users are in the read model.
func plainHTTP(commands *cqrs.CommandBus, projected *atomic.Int64) http.Handler {
	router := mux.NewRouter()
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := commands.Send(r.Context(), &CreateUser{ID: c.Payload.ID, Name: c.Payload.Name}); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		accept(w)
	}).Methods(http.MethodPost)
	router.HandleFunc("/done", doneWhen(projected)).Methods(http.MethodGet)
	return router
}

func accept(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"accepted"}`) // an error means that the client is gone
}

// doneWhen says whether the read model has a number of users.
func doneWhen(projected *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if last, err := strconv.ParseInt(r.URL.Query().Get("last"), 10, 64); err != nil || projected.Load() < last {
			w.WriteHeader(http.StatusNotFound)
		}
	}
}
