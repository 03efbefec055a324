package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill"
	wmkafka "github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// The plain contender is a service by Watermill's own documentation of CQRS
// (https://watermill.io/docs/cqrs/, and its example of ordered events on Kafka):
// command bus and processor, event bus and group processor, the JSON marshaler, a
// router with its recoverer, and a partition key so that a user's messages stay in
// order. Publisher and subscriber have Watermill's default settings, but for acks=all
// and the oldest offset. Broker and partitions are Millrace's. The read model is in a
// map, or in SQLite with a transaction an event. The plain contender has no rules and
// no outcomes, and handles a message that is delivered twice twice.

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

// servePlain serves plain Watermill, with its read model in a map or in SQLite.
func servePlain(ctx context.Context, dir string, out io.Writer, sqlite bool) error {
	log, done, err := openLog(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = done() }()
	users := newPlainUsers()
	put := func(_ context.Context, e *UserCreated) error {
		users.put(e)
		return nil
	}
	if sqlite {
		db, err := openPlain(ctx, filepath.Join(dir, "plain.db"))
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		put = func(ctx context.Context, e *UserCreated) error {
			err := project(ctx, db, e)
			if err == nil {
				users.put(e)
			}
			return err
		}
	}
	p, err := newPipeline(log, put)
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
	if _, err := users.await(ctx, 0); err != nil {
		return err
	}
	server := httptest.NewServer(plainHTTP(p.commands, users))
	defer server.Close()
	fmt.Fprintf(out, "commands %[1]s/commands\nqueries %[1]s\ndone %[1]s/done\nmetrics %[1]s/metrics\n\n", server.URL)
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

// command is the body of POST /commands, for plain code.
type command struct {
	Type    string `json:"type"`
	Payload struct {
		ID   int    `json:"id"`
		Name string `json:"name"`
	} `json:"payload"`
}

// serveBare serves the limit of HTTP itself: a handler decodes JSON, and does
// nothing.
func serveBare(ctx context.Context, _ string, out io.Writer) error {
	router := mux.NewRouter()
	router.HandleFunc("/commands", func(w http.ResponseWriter, r *http.Request) {
		var c command
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}).Methods(http.MethodPost)
	one := []byte(`{"id":12345,"name":"User 12345","version":1,"active":true,"createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z"}`)
	page := append(append([]byte("["), bytes.Repeat(append(one, ','), 999)...), append(one, ']')...)
	router.HandleFunc("/users", alwaysThis(page)).Methods(http.MethodGet)
	router.HandleFunc("/users/{id}", alwaysThis(one)).Methods(http.MethodGet)
	server := httptest.NewServer(router)
	defer server.Close()
	fmt.Fprintf(out, "commands %s/commands\nqueries %s\n\n", server.URL, server.URL)
	<-ctx.Done()
	return nil
}

// alwaysThis answers every request with the same JSON.
func alwaysThis(body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // an error means that the client is gone
	}
}
