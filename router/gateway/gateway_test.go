package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

var gatewayNow = time.Date(2026, 9, 21, 10, 11, 12, 345_678_901, time.FixedZone("", 3600))

// newGateway serves a gateway whose commands go to send.
func newGateway(send func(*eventlog.Envelope) error) http.Handler {
	g := &Gateway{
		Registry: registry,
		Send:     aside(send), Timeout: time.Second, MaxInFlight: 2,
		MaxUndecided: 100, States: noStates,
		StatusURL: "http://localhost:3002/", Now: func() time.Time { return gatewayNow },
		Log: slog.New(slog.DiscardHandler),
	}
	router := web.NewRouter()
	g.Routes(router)
	return router
}

// aside makes a bus of a function that returns the result of a send.
func aside(send func(*eventlog.Envelope) error) func(*eventlog.Envelope, func(eventlog.CommandPlace, error)) {
	return func(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
		go func() { sent(eventlog.CommandPlace{}, send(c)) }()
	}
}

// noStates is before Kafka is reached.
func noStates() *decider.StateStore { return nil }

// capture is a command bus that keeps all commands.
type capture []*eventlog.Envelope

func (c *capture) send(command *eventlog.Envelope) error {
	*c = append(*c, command)
	return nil
}

// answer is a client's view of an answer.
type answer struct {
	Status int
	Header http.Header
	Body   struct {
		ID, Type, Status, Title, Detail any
		Errors                          []struct {
			Pointer, Parameter *string
			Detail             string
		}
	}
}

// pointers are the wrong places in a problem, in order; header fields and query
// parameters have a question mark in front.
func (a answer) pointers() []string {
	var pointers []string
	for _, e := range a.Body.Errors {
		if e.Parameter != nil {
			pointers = append(pointers, "?"+*e.Parameter)
		} else {
			pointers = append(pointers, *e.Pointer)
		}
	}
	return pointers
}

// ask posts a body with headers: pairs of name and value. The Content-Type is
// application/json unless the headers have another; the value "-" leaves the
// Content-Type out.
func ask(t *testing.T, h http.Handler, target, body string, headers ...string) answer {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	switch r.Header.Get("Content-Type") {
	case "":
		r.Header.Set("Content-Type", "application/json")
	case "-":
		r.Header.Del("Content-Type")
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	a := answer{Status: recorder.Code, Header: recorder.Header()}
	if err := json.Unmarshal(recorder.Body.Bytes(), &a.Body); err != nil {
		t.Fatalf("answer %q: %v", recorder.Body, err)
	}
	return a
}

const alice = `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`

func TestGatewayAccepts(t *testing.T) {
	uuidV7 := func(id string) bool {
		parsed, err := uuid.Parse(id)
		return err == nil && parsed.Version() == 7
	}
	is := func(want string) func(string) bool { return func(id string) bool { return id == want } }
	long := strings.Repeat("Az09._~:-", 14) + "aa" // 128 characters
	tests := []struct {
		name    string
		body    string
		headers []string
		id      func(string) bool
		stream  string
		payload string
	}{
		{"without an id", alice, nil, uuidV7, "1", `{"id":1,"name":"Alice"}`},
		{"id in the body", `{"type":"deleteUser","payload":{"id":1},"id":"a-1"}`, nil, is("a-1"), "1", `{"id":1}`},
		{"id in the header, bare", alice, []string{"Idempotency-Key", "a-1"}, is("a-1"), "1", `{"id":1,"name":"Alice"}`},
		{"id in the header, quoted", alice, []string{"Idempotency-Key", `"a-1"`}, is("a-1"), "1", `{"id":1,"name":"Alice"}`},
		{"the same id twice", `{"id":"a","type":"deleteUser","payload":{"id":1}}`, []string{"Idempotency-Key", `"a"`}, is("a"), "1", `{"id":1}`},
		{"the longest id", alice, []string{"Idempotency-Key", long}, is(long), "1", `{"id":1,"name":"Alice"}`},
		{"number as a string", `{"type":"deleteUser","payload":{"id":"1"}}`, nil, uuidV7, "1", `{"id":1}`},
		{"string", `{"type":"deleteUser","payload":{"id":"01"}}`, nil, uuidV7, "01", `{"id":"01"}`},
		{"escapes", `{"\u0074ype":"delete\u0055ser","payload":{"id":"\ud83d\ude00"}}`, nil, uuidV7, "😀", `{"id":"😀"}`},
		{"HTML stays as it is", `{"type":"createUser","payload":{"id":"<a&b>","name":"<i>"}}`, nil, uuidV7, "<a&b>", `{"id":"<a&b>","name":"<i>"}`},
		{"trimmed", `{"type":"renameUser","payload":{"name":" Bob\n","id":1}}`, nil, uuidV7, "1", `{"id":1,"name":"Bob"}`},
		{"as long as may be", alice + strings.Repeat(" ", 64<<10-len(alice)), nil, uuidV7, "1", `{"id":1,"name":"Alice"}`},
		{"charset", alice, []string{"Content-Type", `Application/JSON; Charset="UTF-8"`}, uuidV7, "1", `{"id":1,"name":"Alice"}`},
		{"identity", alice, []string{"Content-Encoding", "Identity"}, uuidV7, "1", `{"id":1,"name":"Alice"}`},
		{"Prefer without wait", alice, []string{"Prefer", "respond-async"}, uuidV7, "1", `{"id":1,"name":"Alice"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var bus capture
			got := ask(t, newGateway(bus.send), "/commands", test.body, test.headers...)
			if got.Status != http.StatusAccepted || len(bus) != 1 {
				t.Fatalf("got %d %+v, with %d commands on the bus", got.Status, got.Body, len(bus))
			}
			c := bus[0]
			if !test.id(c.ID) {
				t.Errorf("command id %q", c.ID)
			}
			if c.Stream != "user/"+test.stream || string(c.Body) != test.payload {
				t.Errorf("got stream %q, payload %s; want %q, %s", c.Stream, c.Body, test.stream, test.payload)
			}
			if want := time.Date(2026, 9, 21, 9, 11, 12, 345_000_000, time.UTC); c.Time != want {
				t.Errorf("got time %v, want %v", c.Time, want)
			}
			if got.Body.ID != c.ID || got.Body.Type != c.Type || got.Body.Status != "accepted" {
				t.Errorf("answer %+v", got.Body)
			}
		})
	}
}

func TestGatewayExpectedVersion(t *testing.T) {
	for _, test := range []struct {
		member string
		want   *uint64
	}{{``, nil}, {`,"expectedVersion":0`, new(uint64(0))}, {`,"expectedVersion":9007199254740991`, new(uint64(1<<53 - 1))}} {
		var bus capture
		ask(t, newGateway(bus.send), "/commands", `{"type":"deleteUser","payload":{"id":1}`+test.member+`}`)
		if len(bus) != 1 {
			t.Errorf("%s: refused", test.member)
		} else if diff := cmp.Diff(test.want, bus[0].ExpectedVersion); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.member, diff)
		}
	}
}

func TestGatewayLocation(t *testing.T) {
	for _, test := range []struct{ id, command, want string }{
		{`1`, "a:1~", "http://localhost:3002/users/1/commands/a:1~"},
		{`"1"`, "a:1~", "http://localhost:3002/users/1/commands/a:1~"},
		{`"a/b?c#d%20 é"`, "a:1~", "http://localhost:3002/users/a%2Fb%3Fc%23d%2520%20%C3%A9/commands/a:1~"},
		{`1`, ".", "http://localhost:3002/users/1/commands/%2E"},
		{`1`, "..", "http://localhost:3002/users/1/commands/%2E%2E"},
		{`1`, "...", "http://localhost:3002/users/1/commands/..."},
	} {
		var bus capture
		got := ask(t, newGateway(bus.send), "/commands", `{"id":"`+test.command+`","type":"deleteUser","payload":{"id":`+test.id+`}}`)
		if location := got.Header.Get("Location"); location != test.want {
			t.Errorf("user %s: Location %q, want %q", test.id, location, test.want)
		}
	}
}

func TestGatewayWithoutStatusURL(t *testing.T) {
	var bus capture
	g := &Gateway{Registry: registry, Send: aside(bus.send), Timeout: time.Second, MaxInFlight: 1, MaxUndecided: 100, States: noStates, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
	router := web.NewRouter()
	g.Routes(router)
	if got := ask(t, router, "/commands", alice); got.Status != 202 || got.Header["Location"] != nil {
		t.Errorf("got %d, Location %q", got.Status, got.Header["Location"])
	}
}

func TestGatewayBodyCutOff(t *testing.T) {
	var bus capture
	r := httptest.NewRequest(http.MethodPost, "/commands", io.MultiReader(strings.NewReader(alice), failingReader{}))
	r.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	newGateway(bus.send).ServeHTTP(recorder, r)
	if recorder.Code != 400 || len(bus) > 0 {
		t.Errorf("got %d, %d commands on the bus", recorder.Code, len(bus))
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestGatewayBrokerAway(t *testing.T) {
	got := ask(t, newGateway(func(*eventlog.Envelope) error {
		return errors.New("dial tcp 10.0.0.1:9092: connection refused")
	}), "/commands", alice, "Idempotency-Key", "a")
	wantUnavailable(t, got, "urn:millrace:problem:unavailable", "a")
	if detail, _ := got.Body.Detail.(string); strings.Contains(detail, "9092") {
		t.Errorf("detail %q tells too much", detail)
	}
}

func wantUnavailable(t *testing.T, got answer, problem, id string) {
	t.Helper()
	if got.Status != http.StatusServiceUnavailable || got.Body.Type != problem ||
		got.Body.ID != id || got.Header.Get("Retry-After") != "1" || got.Header["Location"] != nil {
		t.Errorf("got %d %+v %v, want 503 %s for command %s", got.Status, got.Body, got.Header, problem, id)
	}
}

// A bus that hangs keeps its own places, and nothing else.
func TestGatewaySendHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var sends atomic.Int32
		h := newGateway(func(*eventlog.Envelope) error {
			sends.Add(1)
			<-release
			return nil
		})
		for _, id := range []string{"a", "b"} { // MaxInFlight of them
			start := time.Now()
			wantUnavailable(t, ask(t, h, "/commands", alice, "Idempotency-Key", id), "urn:millrace:problem:unavailable", id)
			if waited := time.Since(start); waited != time.Second {
				t.Errorf("waited for %v, want the timeout", waited)
			}
		}
		time.Sleep(time.Minute) // nobody waits for them any more, and they keep their places
		start := time.Now()
		wantUnavailable(t, ask(t, h, "/commands", alice, "Idempotency-Key", "c"), "urn:millrace:problem:overloaded", "c")
		if waited := time.Since(start); waited != 0 || sends.Load() != 2 {
			t.Errorf("waited for %v, with %d sends; want to be told at once", waited, sends.Load())
		}
		close(release)
		synctest.Wait()
		if got := ask(t, h, "/commands", alice); got.Status != http.StatusAccepted {
			t.Errorf("got %d with the places free again", got.Status)
		}
	})
}

// A send goes on when the client leaves. A client that closes its sending side
// looks the same, and gets its answer.
func TestGatewayClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var sends atomic.Int32
		h := newGateway(func(*eventlog.Envelope) error {
			<-release
			sends.Add(1)
			return nil
		})
		ctx, leave := context.WithCancel(t.Context())
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/commands", strings.NewReader(alice))
		r.Header.Set("Content-Type", "application/json")
		answered := make(chan int)
		recorder := httptest.NewRecorder()
		go func() {
			h.ServeHTTP(recorder, r)
			answered <- recorder.Code
		}()
		synctest.Wait()
		leave()
		synctest.Wait()
		close(release)
		if status := <-answered; status != http.StatusAccepted {
			t.Errorf("got %d", status)
		}
		if sends.Load() != 1 {
			t.Error("the send ended with its client")
		}
	})
}
