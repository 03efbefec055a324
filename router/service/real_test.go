package service

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// useKafka puts the stack on a real Kafka, under a prefix of its own.
func (s *stack) useKafka(brokers string) {
	s.t.Helper()
	s.shared["kafka.brokers"] = brokers
	s.shared["kafka.topic_prefix"] = "test-" + uuid.NewString() + "."
	s.t.Cleanup(s.deleteTopics)
}

func (s *stack) deleteTopics() {
	admin, err := sarama.NewClusterAdmin(s.brokers(), sarama.NewConfig())
	if err != nil {
		s.t.Error(err)
		return
	}
	topics, err := admin.ListTopics()
	if err != nil {
		s.t.Error(err)
	}
	for topic := range topics {
		if !strings.HasPrefix(topic, s.shared["kafka.topic_prefix"]) {
			continue
		}
		if err := admin.DeleteTopic(topic); err != nil {
			s.t.Error(err)
		}
	}
	if err := admin.Close(); err != nil {
		s.t.Error(err)
	}
}

// usePostgres puts the stack on a real PostgreSQL, in a schema of its own.
func (s *stack) usePostgres(server string) {
	s.t.Helper()
	s.shared["store.driver"] = "postgres"
	s.shared["store.postgres.url"] = newSchema(s.t, server)
}

// newSchema is an empty schema on the server until the test ends, as a URL.
func newSchema(t *testing.T, server string) string {
	t.Helper()
	schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	onServer := func(statement string) {
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(ctx, statement)
		if err := errors.Join(err, conn.Close(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	onServer("CREATE SCHEMA " + schema)
	t.Cleanup(func() { onServer("DROP SCHEMA " + schema + " CASCADE") })
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("POSTGRES_URL is not a URL")
	}
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}
