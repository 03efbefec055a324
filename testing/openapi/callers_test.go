package openapi

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/service/servicetest"
)

// The callers, with their tokens and the digests of the tokens.
const (
	shopToken  = "Bearer correct-horse-battery-staple"
	adminToken = "Bearer staple-battery-horse-correct"
	tokens     = "shop:commands+queries:87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590," +
		"admin:operate:29a5d6d3fd3dbbc9f17795c2b9b8cc9ddf794af8d43aa226fb8dd8c4eeda29c6"
)

const createAlice = `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`

// Callers without permission, and callers with too many requests, get answers
// that the documents have, from every operation.
func TestRefusedCallersAreAnsweredAsDocumented(t *testing.T) {
	t.Parallel()
	s := start(t, "limits.in_flight=1", "auth.tokens="+tokens)
	commands, queries := contractOf(t, s.Commands, shopToken), contractOf(t, s.Queries, shopToken)
	admin := newContract(t, s.Admin, printed(t))
	holdQuery(t, queries.base+"/changes")
	holdCommands(t, commands.base+"/commands")
	for _, c := range []*contract{commands, queries} {
		for at := range c.document.operations() {
			c.askAs(at, "", http.StatusUnauthorized)
			c.askAs(at, "Bearer ", http.StatusUnauthorized)
			c.askAs(at, "Bearer nobody's", http.StatusUnauthorized)
			c.askAs(at, adminToken, http.StatusForbidden)
			c.askAs(at, shopToken, http.StatusTooManyRequests) // the shop has one request under way
		}
	}
	for at, operation := range admin.document.operations() {
		if commands.document.operations()[at] != nil || queries.document.operations()[at] != nil {
			continue
		}
		if at[0] == http.MethodGet && !strings.Contains(at[1], "{") {
			admin.askAs(at, adminToken, http.StatusOK)
		}
		if operation.Responses["401"].Headers != nil && at[1] != "/api/session" { // a login shows its token in the body
			admin.askAs(at, "", http.StatusUnauthorized)
			admin.askAs(at, shopToken, http.StatusForbidden)
		}
	}
	if !admin.seen["GET /readyz 200"] || !admin.seen["GET /projections 403"] {
		t.Errorf("of the admin address only these answers were seen: %v", admin.seen)
	}
}

// A service without Kafka says so as documented.
func TestNotReadyIsAsDocumented(t *testing.T) {
	t.Parallel()
	broker := servicetest.Start(t, t.TempDir(), "roles=broker")
	s := servicetest.Start(t, t.TempDir(), "roles=command-service", "kafka.brokers="+broker.Kafka, "command_service.publish_timeout=1s")
	admin, commands := newContract(t, s.Admin, printed(t)), contractOf(t, s.Commands, "")
	broker.Kill()
	for s.Ask(http.MethodGet, s.Admin+"/readyz", "").Status == http.StatusOK {
		time.Sleep(20 * time.Millisecond) // until the service misses the broker
	}
	admin.askAs([2]string{http.MethodGet, "/readyz"}, "", http.StatusServiceUnavailable)
	commands.askAs([2]string{http.MethodPost, "/commands"}, "", http.StatusServiceUnavailable)
}

// bodies are the bodies of requests to the console's API, by the last step of the
// path.
var bodies = map[string]string{
	"requeue": "{}", "drop": `{"command":"c-1"}`, "rebuild": "{}", "swap": "{}", "rollback": "{}", "retry": "{}",
	"skip": `{"stream":"user/1","offset":0}`, "verify": "{}", "cancel": "{}", "send": `{"command":{}}`,
}

// askAs asks an operation with a token, or without a token.
func (c *contract) askAs(at [2]string, token string, status int) {
	c.t.Helper()
	a := call{
		method: at[0], operation: at[1], header: http.Header{}, status: status,
		path: filledIn(at[1]),
	}
	if token != "" {
		a.header.Set("Authorization", token)
	}
	if at[0] == http.MethodPost {
		a.header.Set("Content-Type", "application/json")
		a.body = createAlice
		if ofAdmin(at[1]) {
			a.body = bodies[at[1][strings.LastIndex(at[1], "/")+1:]]
			switch at[1] {
			case "/api/read-models/{model}/drop":
				a.body = `{"generation":1}`
			case "/api/reactions/{reaction}/retry":
				a.body = `{"stream":"user/1"}`
			case "/api/dead-letters/{partition}/{offset}/drop":
				a.body = "{}"
			}
		}
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
	go func() { _, _ = io.WriteString(lines, createAlice+"\n") }() // leaveOpen waits for the answer
	leaveOpen(t, http.MethodPost, url, body)
}

// leaveOpen sends a request whose answer has no end, and returns once the answer
// has begun.
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
