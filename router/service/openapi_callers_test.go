package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/documents"
)

const (
	shopToken  = "Bearer correct-horse-battery-staple"
	adminToken = "Bearer staple-battery-horse-correct"
)

// What is answered to those who may not call, or call too often, is in the
// documents: of every operation.
func TestRefusedCallersAreAnsweredAsDocumented(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.shared["auth.tokens"] = "shop:commands+queries:87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590," +
		"admin:operate:29a5d6d3fd3dbbc9f17795c2b9b8cc9ddf794af8d43aa226fb8dd8c4eeda29c6"
	s.shared["limits.in_flight"] = "1"
	s.startOneProcess()

	commands, queries := contractOf(t, s.commandService.at.Commands, shopToken), contractOf(t, s.readAPI.at.Queries, shopToken)
	admin := newContract(t, s.commandService.at.Admin, documents.OpenAPI(registeredDomain(t).description(), "/livez", "/readyz", "/projections", "/metrics"))
	holdQuery(t, queries.base+"/changes")
	holdCommands(t, commands.base+"/commands")
	for _, c := range []*contract{commands, queries} {
		for at := range c.document.operations() {
			c.askAs(at, "", http.StatusUnauthorized)
			c.askAs(at, "Bearer ", http.StatusUnauthorized)
			c.askAs(at, "Bearer nobody's", http.StatusUnauthorized)
			c.askAs(at, adminToken, http.StatusForbidden)
			c.askAs(at, shopToken, http.StatusTooManyRequests) // it has one request under way
		}
	}
	for at, operation := range admin.document.operations() {
		admin.askAs(at, adminToken, http.StatusOK)
		if operation.Responses["401"].Headers != nil {
			admin.askAs(at, "", http.StatusUnauthorized)
			admin.askAs(at, shopToken, http.StatusForbidden)
		}
	}
}

// askAs asks an operation with a token, or without.
func (c *contract) askAs(at [2]string, token string, status int) {
	c.t.Helper()
	a := call{
		method: at[0], operation: at[1], header: http.Header{}, status: status,
		path: strings.NewReplacer("{id}", "1", "{command}", "c-1").Replace(at[1]),
	}
	if token != "" {
		a.header.Set("Authorization", token)
	}
	if at[0] == http.MethodPost {
		a.header.Set("Content-Type", "application/json")
		a.body = createAlice
	}
	c.ask(a)
}

// holdQuery keeps a query of the shop's under way.
func holdQuery(t *testing.T, url string) {
	t.Helper()
	leaveOpen(t, http.MethodGet, url, http.NoBody)
}

// holdCommands keeps a request of many commands of the shop's under way.
func holdCommands(t *testing.T, url string) {
	t.Helper()
	body, lines := io.Pipe()
	t.Cleanup(func() { _ = lines.Close() })
	go func() { _, _ = io.WriteString(lines, createAlice+"\n") }() // whoever waits for its answer knows
	leaveOpen(t, http.MethodPost, url, body)
}

// leaveOpen returns once an answer has begun, which has no end.
func leaveOpen(t *testing.T, method, url string, body io.Reader) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", shopToken)
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s", method, url, response.Status)
	}
}

// What a process that isn't ready says of it is documented.
func TestNotReadyIsAsDocumented(t *testing.T) {
	t.Parallel()
	h := new(health)
	h.add("kafka", func(context.Context) error { return errors.New("away") })
	server := httptest.NewServer(h.routes(slog.New(slog.DiscardHandler)))
	defer server.Close()
	c := newContract(t, strings.TrimPrefix(server.URL, "http://"), documents.OpenAPI(registeredDomain(t).description(), "/readyz"))
	c.askAs([2]string{http.MethodGet, "/readyz"}, "", http.StatusServiceUnavailable)
}
