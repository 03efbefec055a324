package sqlstore

import (
	"context"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/router/readmodel"
)

const password = "s3cret"

func TestPostgresURLsThatCantBeRead(t *testing.T) {
	for _, test := range []struct{ url, says string }{
		{"", "postgres://"},
		{"localhost:5432", "postgres://"},
		{"mysql://me:s3cret@host/db", "postgres://"},
		{"host=localhost password=s3cret", "postgres://"},
		{"postgres://me:s3cret@host:port/db", "postgres://"},
		{"postgres://me:%zs3cret@host/db", "postgres://"},
		{"postgres://me:/s3cret@host/db", "postgres://"},
		{"postgres://me:1/s3cret@host/db", "postgres://"}, // alone, a host, a port and a database
		{"postgres://me:1?s3cret@host/db", "postgres://"},
		{"postgres://me:1#s3cret@host/db", "postgres://"},
		{"postgres://me:s3cret@host:99999/db", "invalid port"},
		{"postgres://me:s3cret@host/db?sslmode=bogus", "sslmode"},
		{"postgres://host/db?user=me&password=s3cret&sslmode=bogus", "sslmode"},
		{"postgres://host/db?user=me&pass%77ord=s3cret&sslmode=bogus", "sslmode"},
		{"postgres://me:s3cret@host/db?connect_timeout=soon", "connect_timeout"},
		{"postgres://me:s3cret@host/db?sslmode=verify-full&sslrootcert=/nowhere.pem", "/nowhere.pem"},
	} {
		store, err := OpenPostgres(t.Context(), test.url)
		if err == nil {
			t.Errorf("%s: it opened", test.url)
			opened(t, store, nil)
			continue
		}
		if strings.Contains(err.Error(), password) {
			t.Errorf("%s: the password is in %q", test.url, err)
		}
		if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: no %q in %q", test.url, test.says, err)
		}
	}
}

func TestPostgresThatIsAway(t *testing.T) {
	// Nothing listens on port 1.
	store, err := OpenPostgres(t.Context(), "postgres://me:"+password+"@127.0.0.1:1/db")
	opened(t, store, err)
	p := people()
	for name, err := range map[string]error{
		"Ping":    store.Ping(t.Context()),
		"Prepare": store.Prepare(t.Context(), p, 4),
		"Update":  store.Update(t.Context(), p, from(at(0, 0), at(0, 1)), nil, func(readmodel.Tx) error { return nil }),
		"View":    store.View(t.Context(), p, func(readmodel.View) error { return nil }),
	} {
		if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), password) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestPostgresThatRefusesThePassword(t *testing.T) {
	u := postgresURL(t)
	u.User = url.UserPassword(u.User.Username(), password)
	store, err := OpenPostgres(t.Context(), u.String())
	err = opened(t, store, err).Ping(t.Context())
	if err == nil {
		t.Skip("this server asks for no password")
	}
	if strings.Contains(err.Error(), password) {
		t.Errorf("the password is in %q", err)
	}
}

// A server closes all connections; the next statements use new connections.
func TestPostgresThatComesBack(t *testing.T) {
	u := postgresURL(t)
	p := people()
	store := prepared(t, postgresDatabase(t)(), p)
	put(t, store, p, "person", person("1"))

	ctx := t.Context()
	conn, err := pgx.Connect(ctx, u.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	}()
	var schema string
	if err := store.read.QueryRowContext(ctx, "SELECT current_schema()").Scan(&schema); err != nil {
		t.Fatal(err)
	}
	var ended int
	err = conn.QueryRow(ctx, "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE application_name = $1", schema).Scan(&ended)
	if err != nil {
		t.Fatal(err)
	}
	if ended < 2 {
		t.Fatalf("%d connections, and not one to write and one to read", ended)
	}
	for range ended + 1 {
		err = store.Update(ctx, p, from(at(0, 1), at(0, 2)), nil, func(readmodel.Tx) error { return nil })
		if err == nil {
			break
		}
	}
	if err != nil {
		t.Error("Update:", err)
	}
	for range ended + 1 {
		if err = store.View(ctx, p, func(readmodel.View) error { return nil }); err == nil {
			break
		}
	}
	if err != nil {
		t.Error("View:", err)
	}
	if got := checkpoints(t, store, p)[0]; got != at(0, 2) {
		t.Errorf("checkpoint is %v", got)
	}
}

func TestPostgresSettingsAreOfUpdatesOnly(t *testing.T) {
	p := people()
	store := prepared(t, postgresDatabase(t)(), p)
	settings := func(tx session) (all [3]string) {
		for i, name := range []string{"synchronous_commit", "enable_seqscan", "idle_in_transaction_session_timeout"} {
			if err := tx.QueryRowContext(t.Context(), "SELECT current_setting($1)", name).Scan(&all[i]); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	now := func() [3]string {
		tx, err := store.write.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		return settings(tx)
	}
	before := now()
	update(t, store, p, func(_ context.Context, tx readmodel.Tx) error {
		if got, want := settings(tx.(*batch).tx), [3]string{"off", "off", postgresIdle}; got != want { //nolint:errcheck // a panic fails the test
			t.Errorf("settings %v, and not %v", got, want)
		}
		return nil
	})
	if got := now(); got != before {
		t.Errorf("settings %v, and before %v", got, before)
	}
}

// A Millrace in another schema of the same database doesn't wait.
func TestPostgresSchemasDontWaitForEachOther(t *testing.T) {
	p := people()
	one, other := prepared(t, postgresDatabase(t)(), p), prepared(t, postgresDatabase(t)(), p)
	update(t, one, p, func(ctx context.Context, _ readmodel.Tx) error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if err := other.Update(ctx, p, from(at(0, 0), at(0, 1)), nil, func(readmodel.Tx) error { return nil }); err != nil {
			t.Error(err)
		}
		return nil
	})
}

// postgresURL is $POSTGRES_URL.
func postgresURL(t testing.TB) *url.URL {
	server := os.Getenv("POSTGRES_URL")
	if server == "" {
		t.Skip("POSTGRES_URL is not set")
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal("POSTGRES_URL is not a URL")
	}
	return u
}
