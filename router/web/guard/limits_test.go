package guard

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func from(address string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = address }
}

func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Guard{Callers: new(Callers), Limits: NewLimits(2, 3, 0)}
		for range 3 {
			want(t, call(g, from("192.0.2.1:1")), 418, "", "")
		}
		got := call(g, from("192.0.2.1:2")) // another port: the same caller
		want(t, got, 429, "too-many-requests", "")
		if after := got.Header().Get("Retry-After"); after != "1" {
			t.Errorf("Retry-After %q", after)
		}
		want(t, call(g, from("192.0.2.2:1")), 418, "", "")
		time.Sleep(500 * time.Millisecond) // a refused request costs nothing
		want(t, call(g, from("192.0.2.1:1")), 418, "", "")
		want(t, call(g, from("192.0.2.1:1")), 429, "too-many-requests", "")
	})
}

// Limits count callers by name. A caller with a bad token counts by address.
func TestRateOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Guard{
			Callers: &Callers{Tokens: []Token{hashed(t, "a", "queries", "a"), hashed(t, "b", "queries", "b")}},
			Scope:   Queries, Limits: NewLimits(1, 1, 0),
		}
		want(t, call(g, bearing("Bearer x")), 401, "unauthorized", unknownToken)
		want(t, call(g, bearing("Bearer y")), 429, "too-many-requests", "")
		want(t, call(g, func(r *http.Request) { bearing("Bearer x")(r); from("192.0.2.9:1")(r) }), 401, "unauthorized", unknownToken)
		want(t, call(g, bearing("Bearer a")), 418, "", "")
		want(t, call(g, bearing("Bearer a")), 429, "too-many-requests", "")
		want(t, call(g, bearing("Bearer b")), 418, "", "")
	})
}

func TestInFlight(t *testing.T) {
	g := &Guard{Callers: new(Callers), Limits: NewLimits(0, 1, 2)}
	entered, leave := make(chan struct{}), make(chan struct{})
	slow := g.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-leave
	}))
	done := make(chan struct{})
	for range 2 {
		go func() {
			r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
			r.RemoteAddr = "192.0.2.1:1"
			slow.ServeHTTP(httptest.NewRecorder(), r)
			done <- struct{}{}
		}()
		<-entered
	}
	want(t, call(g, from("192.0.2.1:1")), 429, "too-many-requests", "")
	want(t, call(g, from("192.0.2.2:1")), 418, "", "")
	leave <- struct{}{}
	<-done
	want(t, call(g, from("192.0.2.1:1")), 418, "", "")
	leave <- struct{}{}
	<-done
}

func TestCallersAreForgotten(t *testing.T) {
	l := NewLimits(1, 1, 1)
	first, _ := l.enter("first")
	for i := range maxCallers {
		if leave, problem := l.enter(strconv.Itoa(i)); problem == nil {
			leave()
		}
	}
	if n := l.callers.Len(); n != maxCallers {
		t.Errorf("%d callers are remembered", n)
	}
	first() // the caller was forgotten meanwhile
}

func TestAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80":              "address 192.0.2.1",
		"[::ffff:192.0.2.1]:80":     "address ::ffff:192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "address 2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":         "address fe80::/64",
		"@":                         "address @",
	} {
		if got := address(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%s: %q, want %q", remote, got, want)
		}
	}
}
