package projectiontest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

// PublicURL is the configured URL of a [Client]'s read API, as in Link headers.
const PublicURL = "https://read.example.org/api"

// Client sends queries to a read model.
type Client struct {
	t      testing.TB
	model  *Model
	server *httptest.Server
}

// Client serves a read model's routes on a test server, and returns a client.
func (m *Model) Client(t testing.TB, routes func(*mux.Router, *query.Reader)) *Client {
	t.Helper()
	router := web.NewRouter()
	routes(router, &query.Reader{Store: m.Store, Log: slog.New(slog.DiscardHandler), PublicURL: PublicURL})
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	return &Client{t: t, model: m, server: server}
}

// Answer is the answer to a query.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Ask sends a request, with headers as pairs of name and value. Ask checks the
// headers Position and Cache-Control of every answer with status 200, 304 or
// 404.
func (c *Client) Ask(method, target string, headers ...string) Answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.server.URL+target, http.NoBody)
	if err != nil {
		c.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Add(pair[0], pair[1])
	}
	response, err := c.server.Client().Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	switch response.StatusCode {
	case 200, 304, 404:
		want := eventlog.EncodePosition(c.model.position(c.t.Context()))
		if got := response.Header.Get("Position"); got != want {
			c.t.Errorf("%s %s: Position %q, want %q", method, target, got, want)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-cache" {
			c.t.Errorf("%s %s: Cache-Control %q", method, target, got)
		}
	}
	return Answer{response.StatusCode, response.Header, string(body)}
}

// Want sends a GET, and checks status, body and media type. The answer's body
// is the given text and a newline.
func (c *Client) Want(target string, status int, body string) Answer {
	c.t.Helper()
	got := c.Ask(http.MethodGet, target)
	if got.Status != status {
		c.t.Errorf("GET %s: status %d, want %d", target, got.Status, status)
	}
	if diff := cmp.Diff(body+"\n", got.Body); diff != "" {
		c.t.Errorf("GET %s (-want +got):\n%s", target, diff)
	}
	mediaType := "application/json"
	if status >= 400 {
		mediaType = "application/problem+json"
	}
	if got := got.Header.Get("Content-Type"); got != mediaType {
		c.t.Errorf("GET %s: Content-Type %q, want %q", target, got, mediaType)
	}
	return got
}
