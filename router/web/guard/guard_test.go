package guard

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

var quiet = slog.New(slog.DiscardHandler)

// hashed returns a token in the form of the configuration.
func hashed(t *testing.T, name, scopes, token string) Token {
	t.Helper()
	digest := sha256.Sum256([]byte(token))
	parsed, err := ParseToken(name + ":" + scopes + ":" + hex.EncodeToString(digest[:]))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// call sends a request, changed by change, through a guard.
func call(g *Guard, change func(*http.Request)) *httptest.ResponseRecorder {
	handler := g.Protect(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	change(r)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// bearing returns a change that sets values of Authorization.
func bearing(values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header["Authorization"] = values }
}

// want checks an answer. The handler behind the guard answers 418.
func want(t *testing.T, got *httptest.ResponseRecorder, status int, slug, challenge string) {
	t.Helper()
	if got.Code != status || got.Header().Get("WWW-Authenticate") != challenge {
		t.Errorf("got %d, WWW-Authenticate %s\nwant %d, WWW-Authenticate %s", got.Code, got.Header().Get("WWW-Authenticate"), status, challenge)
	}
	if slug == "" {
		return
	}
	var problem struct{ Type string }
	err := json.Unmarshal(got.Body.Bytes(), &problem)
	if err != nil || problem.Type != "urn:millrace:problem:"+slug || got.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s %s, want problem %s", got.Header().Get("Content-Type"), got.Body, slug)
	}
}

const (
	noToken      = `Bearer realm="millrace"`
	unknownToken = `Bearer realm="millrace", error="invalid_token", error_description="the token is not known"`
	wrongScope   = `Bearer realm="millrace", error="insufficient_scope", scope="queries"`
)

func TestStaticTokens(t *testing.T) {
	callers := &Callers{Log: quiet, Tokens: []Token{
		hashed(t, "shop", "commands+queries", "open sesame"),
		hashed(t, "desk", "operate+commands", "abracadabra"),
		hashed(t, "shop", "queries", "the next one"),
	}}
	guard := &Guard{Callers: callers, Scope: Queries}
	tests := []struct {
		name            string
		authorization   []string
		status          int
		slug, challenge string
	}{
		{"none", nil, 401, "unauthorized", noToken},
		{"good", []string{"Bearer open sesame"}, 418, "", ""},
		{"good, the scheme in another case", []string{"bearer  the next one"}, 418, "", ""},
		{"another scheme", []string{"Basic b3BlbiBzZXNhbWU="}, 401, "unauthorized", noToken},
		{"unknown", []string{"Bearer open sesam"}, 401, "unauthorized", unknownToken},
		{"empty", []string{"Bearer "}, 401, "unauthorized", unknownToken},
		{"no token at all", []string{"Bearer"}, 401, "unauthorized", unknownToken},
		{"its digest", []string{"Bearer " + hex.EncodeToString(callers.Tokens[0].digest[:])}, 401, "unauthorized", unknownToken},
		{"two", []string{"Bearer open sesame", "Bearer open sesame"}, 401, "unauthorized", unknownToken},
		{"wrong scope", []string{"Bearer abracadabra"}, 403, "insufficient-scope", wrongScope},
		{"like a JSON Web Token", []string{"Bearer a.b.c"}, 401, "unauthorized", unknownToken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want(t, call(guard, bearing(test.authorization...)), test.status, test.slug, test.challenge)
		})
	}
}

func TestParseToken(t *testing.T) {
	digest := strings.Repeat("0a", 32)
	for _, wrong := range []string{
		"", "a", "a:queries", ":queries:" + digest, "a::" + digest, "a:all:" + digest, "a:queries:" + digest[1:], "a:queries:x" + digest[1:], "a:queries:" + digest + ":",
	} {
		if _, err := ParseToken(wrong); err == nil || strings.Contains(err.Error(), digest) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// certified returns a change: a request over TLS with a verified certificate of
// this name.
func certified(name string) func(*http.Request) {
	return func(r *http.Request) {
		r.TLS = new(tls.ConnectionState)
		if name != "" {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{{Subject: pkix.Name{CommonName: name}}}}
		}
	}
}

func TestCertificates(t *testing.T) {
	alone := &Guard{Callers: &Callers{Certificates: true}, Scope: Operate}
	want(t, call(alone, certified("")), 403, "certificate-required", "")
	want(t, call(alone, func(*http.Request) {}), 403, "certificate-required", "")
	want(t, call(alone, certified("shop")), 418, "", "")

	both := &Guard{Callers: &Callers{Certificates: true, Tokens: []Token{hashed(t, "shop", "queries", "a")}}, Scope: Queries}
	want(t, call(both, certified("shop")), 401, "unauthorized", noToken)
	want(t, call(both, bearing("Bearer a")), 403, "certificate-required", "")
	want(t, call(both, func(r *http.Request) { certified("shop")(r); bearing("Bearer a")(r) }), 418, "", "")
}

// Protect of a guard without conditions returns the handler itself.
func TestNoGuard(t *testing.T) {
	handler := http.NewServeMux()
	if got := (&Guard{Callers: new(Callers), Scope: Commands}).Protect(handler); got != http.Handler(handler) {
		t.Errorf("there is a %T before the handler", got)
	}
}
