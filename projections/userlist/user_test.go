package userlist

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

func TestUser(t *testing.T) { onEach(t, testUser) }

func testUser(_ *testing.T, a *readAPI) {
	a.foldSome()
	const alice = `{"id":1,"name":"Alice","version":1,"active":true,"createdAt":"2026-01-02T12:00:02.045Z","updatedAt":"2026-01-02T12:00:02.045Z"}`
	a.want("/users/1", 200, alice)
	a.want("/users/%31", 200, alice)
	a.want("/users/2", 200, `{"id":2,"name":"Carol","version":2,"active":false,"createdAt":"2026-01-02T12:00:01.045Z","updatedAt":"2026-01-02T12:00:04.045Z"}`)
	a.want("/users/a%2Fb", 200, `{"id":"a/b","name":"100% \u003cslash\u003e","version":1,"active":true,"createdAt":"2026-01-02T12:00:06.045Z","updatedAt":"2026-01-02T12:00:06.045Z"}`)
	a.want("/users/01", 410, gone)
	for _, id := range []string{
		"3", "001", "a%252Fb", "A%2Fb", "a+b", "1%20", "stats", "changes", // may be created
		".", "%2E%2E", "%00", "%ff", strings.Repeat("x", 129), // may not
	} {
		a.want("/users/"+id, 404, notFound)
	}
}

func TestParkedUser(t *testing.T) {
	a := some(t)
	got := a.want("/users/b", 200, `{"id":"b","name":"Bob","version":1,"active":true,"createdAt":"2026-01-02T12:00:00.045Z","updatedAt":"2026-01-02T12:00:00.045Z","stale":true}`)
	if etag := got.header.Get("ETag"); etag != `W/"1-1-stale"` {
		t.Errorf("ETag %s: a client that holds version 1 must learn that it is stale", etag)
	}
	got = a.want("/users/parked%20at%20once", 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model stopped at the first event of this user"}`)
	if got.header.Get("Retry-After") == "" {
		t.Error("503 without Retry-After")
	}
}

func TestConditionalGet(t *testing.T) {
	a := some(t)
	const etag = `W/"1-2"`
	for _, test := range []struct {
		target, ifNoneMatch string
		status              int
	}{
		{"/users/2", ``, 200},
		{"/users/2", `W/"1-1"`, 200},
		{"/users/2", etag, 304},
		{"/users/2", `"x", "1-2"`, 304},
		{"/users/2", `*`, 304},
		{"/users/3", `*`, 404},
		{"/users/01", `W/"1-2"`, 410},
		{"/users", `*`, 200}, // a list has no ETag
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := a.ask(method, test.target, "If-None-Match", test.ifNoneMatch)
			if got.status != test.status {
				t.Errorf("%s %s, If-None-Match %s: status %d, want %d", method, test.target, test.ifNoneMatch, got.status, test.status)
			}
			if test.target == "/users/2" && got.header.Get("ETag") != etag {
				t.Errorf("%s, status %d: ETag %s, want %s", method, got.status, got.header.Get("ETag"), etag)
			}
			if got.status == 304 && (got.body != "" || got.header.Get("Content-Type") != "") {
				t.Errorf("%s: 304 with a body: %s %q", method, got.header.Get("Content-Type"), got.body)
			}
		}
	}
}

func TestHead(t *testing.T) {
	a := some(t)
	for _, target := range []string{"/users", "/users?limit=1", "/users/1", "/users/01", "/users/3", "/users?limit=0"} {
		get, head := a.ask(http.MethodGet, target), a.ask(http.MethodHead, target)
		if head.body != "" || head.status != get.status {
			t.Errorf("HEAD %s: status %d, want %d, body %q", target, head.status, get.status, head.body)
		}
		get.header.Del("Date")
		head.header.Del("Date")
		if diff := cmp.Diff(get.header, head.header); diff != "" {
			t.Errorf("HEAD %s (-GET +HEAD):\n%s", target, diff)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	a := some(t)
	for _, target := range []string{"/users", "/users/1"} {
		got := a.ask(http.MethodPost, target)
		if got.status != 405 || got.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: status %d, Allow %q", target, got.status, got.header.Get("Allow"))
		}
	}
}

func TestNotPrepared(t *testing.T) {
	a := newReadAPI(t)
	for _, target := range []string{"/users", "/users/1"} {
		got := a.want(target, 503, `{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model isn't there yet"}`)
		if got.header.Get("Retry-After") != "1" || got.header.Get("Position") != "" {
			t.Errorf("GET %s: %v", target, got.header)
		}
	}
}

// The position follows the log, even if the user does not change.
func TestPositionGoesOn(t *testing.T) {
	h := newHistory(t)
	h.created("1", "Alice")
	a := newReadAPI(t)
	a.fold(h.events)
	before := a.ask(http.MethodGet, "/users/1")
	a.fold([]projection.Event{{Record: eventlog.Record{Type: "commandRefused", Stream: "user/1", Version: 1}, AggregateID: "1"}})
	after := a.ask(http.MethodGet, "/users/1", "If-None-Match", before.header.Get("ETag"))
	if after.status != 304 || before.header.Get("Position") == after.header.Get("Position") {
		t.Errorf("status %d, Position %s, then %s", after.status, before.header.Get("Position"), after.header.Get("Position"))
	}
}

// A user has an email address in the answers once the address was changed, and
// none when it was taken away again. No answer tells the address of a deleted
// user.
func TestUserWithEmail(t *testing.T) { onEach(t, testUserWithEmail) }

func testUserWithEmail(_ *testing.T, a *readAPI) {
	h := newHistory(a.t)
	h.created("1", "Alice")
	h.add("userEmailChanged", "1", `{"id":1,"email":"O'Hara&Co@example.org"}`)
	h.created("2", "Bob")
	h.add("userEmailChanged", "2", `{"id":2,"email":"bob@example.org"}`)
	h.add("userEmailChanged", "2", `{"id":2,"email":""}`)
	h.created("3", "Carol")
	h.add("userEmailChanged", "3", `{"id":3,"email":"carol@example.org"}`)
	h.add("userDeleted", "3", `{"id":3}`)
	a.fold(h.events)
	const (
		alice = `{"id":1,"name":"Alice","email":"O'Hara\u0026Co@example.org","version":2,"active":true,"createdAt":"2026-01-02T12:00:00.045Z","updatedAt":"2026-01-02T12:00:01.045Z"}`
		bob   = `{"id":2,"name":"Bob","version":3,"active":true,"createdAt":"2026-01-02T12:00:02.045Z","updatedAt":"2026-01-02T12:00:04.045Z"}`
	)
	a.want("/users/1", 200, alice)
	a.want("/users/2", 200, bob)
	a.want("/users/3", 410, gone)
	a.want("/users", 200, `[`+alice+`,`+bob+`]`)
	a.want("/users?name=Al", 200, `[`+alice+`]`)
}
