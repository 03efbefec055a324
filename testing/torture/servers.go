package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/messaging"
)

// servers puts a run on real servers where it is told to: under a prefix, in a
// schema of its own. What it returns takes both away again.
func (p *plan) servers(ctx context.Context, o options) (cleanUp func() error, err error) {
	id := uuid.NewString()
	var undo []func() error
	switch o.broker {
	case "embedded":
	case "kafka":
		if p.kafka = os.Getenv("KAFKA_BROKERS"); p.kafka == "" {
			return nil, errors.New("-broker kafka needs KAFKA_BROKERS (make real-up)")
		}
		p.prefix = "torture-" + id + "."
		undo = append(undo, func() error { return deleteTopics(p.kafka, p.prefix) })
	default:
		return nil, fmt.Errorf("-broker %q: embedded or kafka", o.broker)
	}
	switch o.store {
	case "sqlite":
	case "postgres":
		server := os.Getenv("POSTGRES_URL")
		u, err := url.Parse(server)
		if server == "" || err != nil {
			return nil, errors.New("-store postgres needs POSTGRES_URL (make real-up)")
		}
		schema := pgx.Identifier{"torture_" + id}.Sanitize()
		if err := execute(ctx, server, "CREATE SCHEMA "+schema); err != nil {
			return nil, err
		}
		undo = append(undo, func() error {
			return execute(context.WithoutCancel(ctx), server, "DROP SCHEMA "+schema+" CASCADE")
		})
		query := u.Query()
		query.Set("search_path", schema)
		u.RawQuery = query.Encode()
		p.postgres = u.String()
	default:
		return nil, fmt.Errorf("-store %q: sqlite or postgres", o.store)
	}
	return func() (err error) {
		for _, f := range undo {
			err = errors.Join(err, f())
		}
		return err
	}, nil
}

func execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return errors.New("can't connect to POSTGRES_URL") // the error may quote it
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func deleteTopics(broker, prefix string) error {
	admin, err := sarama.NewClusterAdmin([]string{broker}, sarama.NewConfig())
	if err != nil {
		return err
	}
	for _, topic := range []string{messaging.TopicCommands, messaging.TopicEvents, messaging.TopicDeadLetters} {
		if failed := admin.DeleteTopic(prefix + topic); !errors.Is(failed, sarama.ErrUnknownTopicOrPartition) {
			err = errors.Join(err, failed)
		}
	}
	return errors.Join(err, admin.Close())
}
