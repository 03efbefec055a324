package openapi

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/router/eventlog"
)

// topicPrefix is a prefix of the test's own on a real Kafka. The topics are
// deleted when the test ends.
func topicPrefix(t *testing.T, brokers string) string {
	t.Helper()
	prefix := "test-" + uuid.NewString() + "."
	t.Cleanup(func() {
		admin, err := sarama.NewClusterAdmin(strings.Split(brokers, ","), sarama.NewConfig())
		if err != nil {
			t.Error(err)
			return
		}
		for _, topic := range []string{eventlog.TopicCommands, eventlog.TopicEvents, eventlog.TopicDeadLetters} {
			if err := admin.DeleteTopic(prefix + topic); err != nil && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
				t.Error(err)
			}
		}
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	return prefix
}

// newSchema makes an empty schema on a real PostgreSQL, and returns the URL of
// the schema. The schema is dropped when the test ends.
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
