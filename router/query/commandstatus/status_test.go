package commandstatus

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
)

// some is a log with every outcome of commands.
func some() *projectiontest.Log {
	log := new(projectiontest.Log)
	log.AddOf("create", "orderPlaced", "order/1", `{"id":"1","name":"Alice"}`)
	log.AddOf("create", "orderPlaced", "order/a/b", `{"id":"a/b","name":"Bob"}`) // the same id, of another order
	log.AddOf("create", "parcelSent", "parcel/1", `{"id":"1"}`)                  // and of another aggregate
	log.AddOf("again", "commandRefused", "order/1", `{"commandType":"placeOrder","problem":"order-exists","detail":"the order exists already"}`)
	log.AddOf("nobody", "commandRefused", "order/2", `{"commandType":"cancelOrder","problem":"order-not-found","detail":"there is no such order"}`)
	log.AddOf("version", "commandRefused", "order/1", `{"commandType":"renameOrder","problem":"version-mismatch","detail":"the order has version 1, not 7"}`)
	log.AddOf("same", "commandUnchanged", "order/1", `{"commandType":"renameOrder"}`)
	log.AddOf("a:1~.-_Z", "orderRenamed", "order/1", `{"id":"1","name":"Alison"}`)

	log.AddOf("faulty", "commandParked", "order/3", `{"commandType":"placeOrder","payload":{"id":"3","name":"C"},"reason":"it panicked","stack":"there"}`)
	log.AddOf("behind", "commandQueued", "order/3", `{"commandType":"renameOrder","payload":{"id":"3","name":"D"},"reason":"an earlier command of this stream is parked"}`)

	log.AddOf("mended", "commandParked", "order/4", `{"commandType":"placeOrder","payload":{"id":"4","name":"E"},"reason":"it panicked"}`)
	log.AddOf("after", "commandQueued", "order/4", `{"commandType":"placeOrder","payload":{"id":"4","name":"F"},"reason":"an earlier command of this stream is parked"}`)
	log.AddOf("operator", "parkedRequeued", "order/4", `{"commandId":"mended"}`)
	log.AddOf("mended", "orderPlaced", "order/4", `{"id":"4","name":"E"}`)
	log.AddOf("after", "commandRefused", "order/4", `{"commandType":"placeOrder","problem":"order-exists","detail":"the order exists already"}`)

	log.AddOf("dropped", "commandParked", "order/5", `{"commandType":"placeOrder","payload":{"id":"5","name":"G"},"reason":"it panicked"}`)
	log.AddOf("operator", "parkedDropped", "order/5", `{"commandId":"dropped"}`)
	log.AddOf("dropped", "commandRefused", "order/5", `{"commandType":"placeOrder","problem":"command-dropped","detail":"an operator has dropped the command"}`)

	log.AddOf("novel", "commandQueued", "order/6", `{"commandType":"paintOrder","payload":{"id":"6"},"reason":"unknown-type"}`)
	log.AddOf("later", "commandQueued", "order/6", `{"commandType":"placeOrder","payload":{"id":"6","name":"I"},"reason":"behind-unknown"}`)
	log.AddOf("held", "commandParked", "order/stale", `{"commandType":"placeOrder","payload":{"id":"stale","name":"H"},"reason":"it panicked"}`)
	log.AddOf("painted", "orderPainted", "order/stale", `{"id":"stale"}`)

	log.AddOf("claims", "commandClaiming", "order/7", `{"commandType":"placeOrder","payload":{"id":"7","name":"J"},"reason":"claim"}`)
	log.AddOf("behind", "commandQueued", "order/7", `{"commandType":"placeOrder","payload":{"id":"7","name":"J"},"reason":"behind-claim"}`)
	log.AddOf("claimed", "commandClaiming", "order/8", `{"commandType":"placeOrder","payload":{"id":"8","name":"K"},"reason":"claim"}`)
	log.AddOf("@unique:t:0:1:1", "claimAnswered", "order/8", `{"commandId":"claimed","claim":"unique/name/1","taken":false}`)
	log.AddOf("claimed", "commandRefused", "order/8", `{"commandType":"placeOrder","problem":"order-exists","detail":"the order exists already"}`)
	log.AddOf("tomorrow", "commandScheduled", "order/9", `{"commandType":"placeOrder","payload":{"id":"9","name":"J"},"notBefore":"2026-12-24T18:00:00.000Z"}`)
	log.AddOf("soon", "commandScheduled", "order/9", `{"commandType":"placeOrder","payload":{"id":"9","name":"K"},"notBefore":"2026-12-24T17:00:00.000Z"}`)
	log.AddOf("never", "commandScheduled", "order/9", `{"commandType":"placeOrder","payload":{"id":"9","name":"L"},"notBefore":"2026-12-24T17:00:00.000Z"}`)
	log.AddOf("cancel", "scheduledCancelled", "order/9", `{"commandId":"never"}`)
	log.AddOf("never", "commandRefused", "order/9", `{"commandType":"placeOrder","problem":"command-cancelled","detail":"the command was cancelled before its time"}`)
	log.AddOf("soon", "orderPlaced", "order/9", `{"id":"9","name":"K"}`)
	return log
}

func TestProjection(t *testing.T) {
	projectiontest.Golden(t, Projection, some(), "testdata/projection.golden", orders.Types...)
}

// kafka answers for Kafka.
type kafka struct {
	undecided map[string]bool // by stream and id
	end       func() eventlog.Position
	err       error
	asked     int
}

func (k *kafka) Undecided(_ context.Context, stream, commandID string) (bool, error) {
	k.asked++
	return k.undecided[stream+" "+commandID], k.err
}

func (k *kafka) LogEnd(context.Context, string) (eventlog.Position, error) { return k.end(), k.err }

func serve(t *testing.T, m *projectiontest.Model, k *kafka) *projectiontest.Client {
	t.Helper()
	return m.Client(t, func(router *mux.Router, reader *query.Reader) {
		reader.Commands = k
		Model(orders.Registry).Routes(router, reader)
	})
}

func TestOutcomes(t *testing.T) {
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(some())
	k := new(kafka)
	c := serve(t, m, k)
	refused := func(id, of, slug, status, detail string) string {
		return `{"id":"` + id + `","stream":"order/` + of + `","status":"refused","problem":{"type":"urn:millrace:problem:` + slug + `","title":"Command refused","status":` + status + `,"detail":"` + detail + `","id":"` + id + `"}}`
	}
	for path, want := range map[string]string{
		"1/commands/create":                   `{"id":"create","stream":"order/1","status":"succeeded","version":1,"position":"AQAB"}`,
		"a%2Fb/commands/create":               `{"id":"create","stream":"order/a/b","status":"succeeded","version":1,"position":"AQEB"}`,
		"1/commands/same":                     `{"id":"same","stream":"order/1","status":"succeeded","version":1,"position":"AQAE"}`,
		"1/commands/a:1~.-_Z":                 `{"id":"a:1~.-_Z","stream":"order/1","status":"succeeded","version":2,"position":"AQAF"}`,
		"%31/commands/%61%3A1%7E%2E%2D%5F%5A": `{"id":"a:1~.-_Z","stream":"order/1","status":"succeeded","version":2,"position":"AQAF"}`,
		"1/commands/again":                    refused("again", "1", "order-exists", "409", "the order exists already"),
		"2/commands/nobody":                   refused("nobody", "2", "order-not-found", "404", "there is no such order"),
		"1/commands/version":                  refused("version", "1", "version-mismatch", "412", "the order has version 1, not 7"),
		"3/commands/faulty":                   `{"id":"faulty","stream":"order/3","status":"parked"}`,
		"3/commands/behind":                   `{"id":"behind","stream":"order/3","status":"parked"}`,
		"4/commands/mended":                   `{"id":"mended","stream":"order/4","status":"succeeded","version":1,"position":"AQEG"}`,
		"4/commands/after":                    refused("after", "4", "order-exists", "409", "the order exists already"),
		"4/commands/operator":                 `{"id":"operator","stream":"order/4","status":"succeeded","position":"AQEF"}`,
		"6/commands/novel":                    `{"id":"novel","stream":"order/6","status":"accepted"}`,
		"6/commands/later":                    `{"id":"later","stream":"order/6","status":"accepted"}`,
		"7/commands/claims":                   `{"id":"claims","stream":"order/7","status":"accepted"}`,
		"7/commands/behind":                   `{"id":"behind","stream":"order/7","status":"accepted"}`,
		"8/commands/claimed":                  refused("claimed", "8", "order-exists", "409", "the order exists already"),
		"5/commands/dropped":                  refused("dropped", "5", "command-dropped", "409", "an operator has dropped the command"),
		"9/commands/tomorrow":                 `{"id":"tomorrow","stream":"order/9","status":"scheduled","notBefore":"2026-12-24T18:00:00.000Z"}`,
		"9/commands/soon":                     `{"id":"soon","stream":"order/9","status":"succeeded","version":1,"position":"AQEU"}`,
		"9/commands/never":                    refused("never", "9", "command-cancelled", "409", "the command was cancelled before its time"),
		"9/commands/cancel":                   `{"id":"cancel","stream":"order/9","status":"succeeded","position":"AQES"}`,
		"stale/commands/held":                 `{"id":"held","stream":"order/stale","status":"parked","stale":true}`,
	} {
		got := c.Want("/orders/"+path, 200, want)
		if again := c.Ask(http.MethodHead, "/orders/"+path, "If-None-Match", got.Header.Get("ETag")); again.Status != 304 {
			t.Errorf("HEAD %s: status %d, and the ETag was %s", path, again.Status, got.Header.Get("ETag"))
		}
	}
	c.Want("/parcels/1/commands/create", 200, `{"id":"create","stream":"parcel/1","status":"succeeded","version":1,"position":"AQIB"}`)
	if k.asked > 0 {
		t.Error("Kafka was asked about commands that have an outcome")
	}
}

// Read-After of a repeated command waits for the outcome of the first command.
func TestOutcome(t *testing.T) {
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(some())
	for command, want := range map[string]string{"1 create": "AQAB", "1 again": "AQAC", "3 behind": "AQAH", "1 nobody": "", "9 create": "", "7 claims": "", "7 behind": "", "8 claimed": "AQIG"} {
		of, id, _ := strings.Cut(command, " ")
		at, err := Outcome(t.Context(), m.Store, orders.Aggregate.Stream(of), id)
		if err != nil || want == "" && at != nil || want != "" && eventlog.EncodePosition(at) != want {
			t.Errorf("command %s: %v, %v, want %s", command, at, err, want)
		}
	}
}

// Every change of a status changes the ETag.
func TestETags(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []command{
		{Status: accepted}, {Status: accepted, at: "AQAA"}, {Status: parked, at: "AQAB"}, {Status: parked, at: "AQAC"}, {Status: parked, at: "AQAC", Stale: true},
		{Status: succeeded, at: "AQAD"}, {Status: refused, at: "AQAD"},
	} {
		if seen[c.state()] {
			t.Errorf("%s is the state of another status, too", c.state())
		}
		seen[c.state()] = true
	}
}

const commandNotFound = `{"type":"urn:millrace:problem:command-not-found","title":"Command not found","status":404,"detail":"there is no such command of this stream"}`

func unavailable(detail string) string {
	return `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"` + detail + `"}`
}

// A command without an outcome in the rows is looked up in Kafka.
func TestNoOutcomeYet(t *testing.T) {
	log := some()
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(log)
	k := &kafka{undecided: map[string]bool{"order/1 new": true, "order/stale new": true}, end: log.Position}
	c := serve(t, m, k)
	c.Want("/orders/1/commands/new", 200, `{"id":"new","stream":"order/1","status":"accepted"}`)
	c.Want("/orders/stale/commands/new", 200, `{"id":"new","stream":"order/stale","status":"accepted"}`)
	c.Want("/orders/a%2Fb/commands/new", 404, commandNotFound)
	c.Want("/orders/1/commands/NEW", 404, commandNotFound)
	c.Want("/parcels/1/commands/new", 404, commandNotFound) // an order's is undecided
	c.Want("/orders/stale/commands/painted", 503, unavailable("the read model stopped at an event of this stream"))

	// The command was decided during the search: the outcome is in the log.
	k.end = func() eventlog.Position {
		log.AddOf("quick", "orderCancelled", "order/1", `{"id":"1"}`)
		m.Fold(log)
		return log.Position()
	}
	c.Want("/orders/1/commands/quick", 200, `{"id":"quick","stream":"order/1","status":"succeeded","version":3,"position":"AQAI"}`)

	// The read model is too late.
	k.end = func() eventlog.Position { return eventlog.Position{0: 1000} }
	if got := c.Want("/orders/1/commands/slow", 503, unavailable("the read model has not come so far yet")); got.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}

	k.err = errors.New("kafka is away")
	if got := c.Want("/orders/1/commands/other", 503, unavailable("the service can't answer this now; try again")); got.Header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
	if got := c.Ask(http.MethodGet, "/orders/1/commands/create"); got.Status != 200 {
		t.Errorf("without Kafka: status %d for a command that has its outcome", got.Status)
	}
}

// An impossible command id is not looked up.
func TestWrongIDs(t *testing.T) {
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(some())
	k := new(kafka)
	c := serve(t, m, k)
	for _, path := range []string{
		"1/commands/" + strings.Repeat("x", 129), "1/commands/a%20b", "1/commands/a%2Fb", "1/commands/%00", "1/commands/%FF",
		"1/commands/create%0A", "1/commands/%C3%A9", "%FF/commands/create", "%2E%2E/commands/create",
	} {
		c.Want("/orders/"+path, 404, commandNotFound)
	}
	if k.asked > 0 {
		t.Error("Kafka was asked about what can't be a command")
	}
	c.Want("/orders/1/commands/create?wait=1", 400, `{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"the query parameters are not valid","errors":[{"parameter":"wait","detail":"is not a parameter of this query"}]}`)
}

func TestNotPrepared(t *testing.T) {
	c := serve(t, projectiontest.Open(t, Projection, orders.Types...), new(kafka))
	c.Want("/orders/1/commands/create", 503, unavailable("the read model isn't there yet"))
}
