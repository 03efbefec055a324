package userlist

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/sqlstore"
	"github.com/millrace/millrace/router/web"
)

const publicURL = "https://read.example.org/api"

// readAPI is a read API over a store of its own.
type readAPI struct {
	t      *testing.T
	store  readmodel.Store
	server *httptest.Server
	// position is the Position that every answer from rows must have.
	position string
}

func newReadAPI(t *testing.T) *readAPI {
	store, err := sqlstore.OpenMemory(t.Context())
	return readAPIOn(t, store, err)
}

func readAPIOn(t *testing.T, store *sqlstore.Store, err error) *readAPI {
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	router := web.NewRouter()
	Routes(router, &query.Reader{Store: store, Log: slog.New(slog.DiscardHandler), PublicURL: publicURL})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return &readAPI{t: t, store: store, server: server}
}

// onEach runs a test on a database in memory, and on PostgreSQL, in a schema of its
// own on the server of $POSTGRES_URL.
func onEach(t *testing.T, test func(*testing.T, *readAPI)) {
	t.Run("memory", func(t *testing.T) { test(t, newReadAPI(t)) })
	t.Run("postgres", func(t *testing.T) {
		server := os.Getenv("POSTGRES_URL")
		if server == "" {
			t.Skip("POSTGRES_URL is not set")
		}
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Fatal(err)
		}
		schema := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
		if _, err := conn.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_, err := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE")
			if err := errors.Join(err, conn.Close(ctx)); err != nil {
				t.Error(err)
			}
		})
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal("POSTGRES_URL is not a URL")
		}
		query := u.Query()
		query.Set("search_path", schema)
		u.RawQuery = query.Encode()
		store, err := sqlstore.OpenPostgres(ctx, u.String())
		test(t, readAPIOn(t, store, err))
	})
}

// fold makes the read model of these events, and parks users.
func (a *readAPI) fold(events []projection.Event, parked ...string) {
	a.t.Helper()
	ctx := a.t.Context()
	if err := a.store.Prepare(ctx, Projection, 3); err != nil {
		a.t.Fatal(err)
	}
	checkpoints, err := a.store.Checkpoints(ctx, Projection)
	if err != nil {
		a.t.Fatal(err)
	}
	from := checkpoints[1]
	to := readmodel.Checkpoint{Partition: 1, Next: from.Next + int64(len(events)), Digest: eventlog.Digest{1}}
	err = a.store.Update(ctx, Projection, []readmodel.Move{{From: from, To: to}}, nil, func(tx readmodel.Tx) error {
		return foldTx(ctx, tx, events, parked)
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.position = eventlog.EncodePosition(eventlog.Position{1: to.Next})
}

func foldTx(ctx context.Context, tx readmodel.Tx, events []projection.Event, parked []string) error {
	var keys []projection.Row
	for _, e := range events {
		for _, key := range Projection.Keys(e) {
			keys = append(keys, key.Key)
		}
	}
	before, err := tx.Rows(ctx, table, keys)
	if err != nil {
		return err
	}
	m := &memory{rows: map[string]projection.Row{}}
	for _, row := range before {
		m.rows[fmt.Sprint(table, row[:1])] = row
	}
	heads := map[string]query.StreamHead{}
	for _, e := range events {
		if err := m.apply(e); err != nil {
			return err
		}
		heads[e.Stream] = query.StreamHead{Head: eventlog.Head{Seq: e.Version, Version: e.Version}}
	}
	for _, id := range parked {
		stream := users.Aggregate.Stream(id)
		head := heads[stream]
		head.Parked = "it can't be read"
		heads[stream] = head
	}
	var after []projection.Row
	for _, row := range m.rows {
		after = append(after, row)
	}
	return errors.Join(tx.Put(ctx, table, after), tx.PutHeads(ctx, heads))
}

// answer is the answer to a client.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request, with headers as pairs, and checks the headers of every
// answer.
func (a *readAPI) ask(method, target string, headers ...string) answer {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.server.URL+target, http.NoBody)
	if err != nil {
		a.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	response, err := a.server.Client().Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	switch response.StatusCode {
	case 200, 304, 404, 410:
		token := response.Header.Get("Position")
		if token != a.position {
			a.t.Errorf("%s %s: Position %q, want %q", method, target, token, a.position)
		}
		if _, err := eventlog.ParsePosition(token); err != nil {
			a.t.Errorf("%s %s: Position %q: %v", method, target, token, err)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-cache" {
			a.t.Errorf("%s %s: Cache-Control %q", method, target, got)
		}
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// want checks status and body.
func (a *readAPI) want(target string, status int, body string) answer {
	a.t.Helper()
	got := a.ask(http.MethodGet, target)
	if got.status != status {
		a.t.Errorf("GET %s: status %d, want %d", target, got.status, status)
	}
	if diff := cmp.Diff(body+"\n", got.body); diff != "" {
		a.t.Errorf("GET %s (-want +got):\n%s", target, diff)
	}
	mediaType := "application/json"
	if status >= 400 {
		mediaType = "application/problem+json"
	}
	if got := got.header.Get("Content-Type"); got != mediaType {
		a.t.Errorf("GET %s: Content-Type %q, want %q", target, got, mediaType)
	}
	return got
}

const (
	notFound = `{"type":"urn:millrace:problem:user-not-found","title":"User not found","status":404,"detail":"there is no such user"}`
	gone     = `{"type":"urn:millrace:problem:user-deleted","title":"User deleted","status":410,"detail":"the user is deleted, and the id is never used again"}`
)

// foldSome makes a read model with active users, an inactive user, a deleted user,
// a parked user, and a user parked at the first event.
func (a *readAPI) foldSome() {
	a.t.Helper()
	h := newHistory(a.t)
	h.created("b", "Bob")
	h.created("2", "Carol")
	h.created("1", "Alice")
	h.created("01", "Zero One")
	h.add("userDeactivated", "2", `{"id":2}`)
	h.add("userDeleted", "01", `{"id":"01"}`)
	h.created("a/b", "100% <slash>")
	a.fold(h.events, "b", "parked at once")
}

// some is a read API with the users of foldSome.
func some(t *testing.T) *readAPI {
	a := newReadAPI(t)
	a.foldSome()
	return a
}
