package guard

import (
	"crypto/sha256"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const operatorToken = "a token; with \"all\" characters, such as ä"

// operators is a guard of an admin address.
func operators() *Guard {
	return &Guard{Callers: &Callers{Log: quiet, Tokens: []Token{
		{"ops", Operate, sha256.Sum256([]byte(operatorToken))},
		{"shop", Commands | Queries, sha256.Sum256([]byte("shop"))},
	}}, Scope: Operate, Pages: SameOrigin}
}

// loggedIn is the cookie of a login.
func loggedIn(t *testing.T, g *Guard, overTLS bool) *http.Cookie {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/api/session", http.NoBody)
	if overTLS {
		r.TLS = new(tls.ConnectionState)
	}
	w := httptest.NewRecorder()
	if err := g.LogIn(w, r, operatorToken); err != nil {
		t.Fatal(err)
	}
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies: %v", cookies)
	}
	return cookies[0]
}

func TestCookieIsOutOfReach(t *testing.T) {
	t.Parallel()
	for _, overTLS := range []bool{false, true} {
		c := loggedIn(t, operators(), overTLS)
		if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Secure != overTLS || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 {
			t.Errorf("over TLS %v: %s", overTLS, c)
		}
		if overTLS != strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("over TLS %v the name is %s", overTLS, c.Name)
		}
	}
}

func TestLogInRefuses(t *testing.T) {
	t.Parallel()
	for token, status := range map[string]string{
		"shop":                    "Insufficient scope",
		"unknown":                 "Unauthorized",
		strings.Repeat("a", 5000): "Invalid request",
	} {
		w := httptest.NewRecorder()
		err := operators().LogIn(w, httptest.NewRequest(http.MethodPost, "/api/session", http.NoBody), token)
		if err == nil || !strings.HasPrefix(err.Error(), status) {
			t.Errorf("%.10s: %v, want %s", token, err, status)
		}
		if len(w.Result().Cookies()) > 0 {
			t.Errorf("%.10s: a cookie is set", token)
		}
	}
}

// The cookie counts only for pages of the address.
func TestCookieOfAnotherPage(t *testing.T) {
	t.Parallel()
	g := operators()
	c := loggedIn(t, g, false)
	for _, test := range []struct {
		what, site, origin string
		status             int
	}{
		{"a page of the address", "same-origin", "", http.StatusTeapot},
		{"a person", "none", "", http.StatusTeapot},
		{"an old browser", "", "", http.StatusTeapot},
		{"an old browser, changing something", "", "http://example.com", http.StatusTeapot},
		{"an old browser, of another page", "", "http://evil.example", http.StatusUnauthorized},
		{"an old browser, of a file", "", "null", http.StatusUnauthorized},
		{"another site", "cross-site", "", http.StatusUnauthorized},
		{"another port", "same-site", "http://example.com", http.StatusUnauthorized},
		{"something new", "other", "", http.StatusUnauthorized},
	} {
		r := httptest.NewRequest(http.MethodGet, "/api/console", http.NoBody) // at example.com
		r.AddCookie(c)
		if test.site != "" {
			r.Header.Set("Sec-Fetch-Site", test.site)
		}
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		if status := ask(g, r); status != test.status {
			t.Errorf("%s: %d, want %d", test.what, status, test.status)
		}
	}
}

// Another address takes the cookie from pages of the named origins only, and
// wants the address's own scope.
func TestCookieAtAnotherAddress(t *testing.T) {
	t.Parallel()
	c := loggedIn(t, operators(), false)
	queries := operators()
	queries.Scope, queries.Pages = Queries, FromOrigins([]string{"http://localhost:3003"})
	both := operators()
	both.Scope, both.Pages = Operate|Queries, FromOrigins([]string{"http://localhost:3003"})
	for _, test := range []struct {
		g      *Guard
		origin string
		status int
	}{
		{both, "http://localhost:3003", http.StatusTeapot},
		{both, "http://localhost:3004", http.StatusUnauthorized},
		{both, "", http.StatusUnauthorized},
		{queries, "http://localhost:3003", http.StatusForbidden},
	} {
		r := httptest.NewRequest(http.MethodGet, "/users", http.NoBody)
		r.AddCookie(c)
		if test.origin != "" {
			r.Header.Set("Origin", test.origin)
		}
		if status := ask(test.g, r); status != test.status {
			t.Errorf("from %q: %d, want %d", test.origin, status, test.status)
		}
	}
}

func TestLogOut(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	LogOut(w, httptest.NewRequest(http.MethodDelete, "/api/session", http.NoBody))
	if c := w.Result().Cookies()[0]; c.Value != "" || c.MaxAge != -1 {
		t.Errorf("the cookie stays: %s", c)
	}
}

// ask is the status of a guarded answer.
func ask(g *Guard, r *http.Request) int {
	w := httptest.NewRecorder()
	g.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })).ServeHTTP(w, r)
	return w.Code
}
