package projectiontest

import (
	"context"
	"errors"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/router/sqlstore"
)

// openStore opens a store for a test: in memory, or in a new schema on the
// server of $POSTGRES_URL.
func openStore(t testing.TB) *sqlstore.Store {
	t.Helper()
	var store *sqlstore.Store
	var err error
	if server := os.Getenv("POSTGRES_URL"); server != "" {
		store, err = sqlstore.OpenPostgres(t.Context(), newSchema(t, server))
	} else {
		store, err = sqlstore.OpenMemory(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// newSchema creates a schema, and returns a URL of the database with this
// schema only. The end of the test drops the schema.
func newSchema(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("POSTGRES_URL is not a URL")
	}
	schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	do := func(statement string) {
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
	do("CREATE SCHEMA " + schema)
	t.Cleanup(func() { do("DROP SCHEMA " + schema + " CASCADE") })
	query := u.Query()
	query.Set("search_path", schema)
	u.RawQuery = query.Encode()
	return u.String()
}
