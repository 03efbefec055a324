package guard

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// issuer is an OpenID Connect issuer for tests.
type issuer struct {
	t      *testing.T
	server *httptest.Server

	mu    sync.Mutex
	keys  []jose.JSONWebKey // published keys
	reads int               // of the keys
	away  bool
	says  string // its name in the discovery document, if not its own
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.away {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		name := i.server.URL
		if i.says != "" {
			name = i.says
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, name, i.server.URL+"/keys")
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.reads++
		if err := json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys}); err != nil {
			t.Error(err)
		}
	})
	mux.HandleFunc("/", func(_ http.ResponseWriter, r *http.Request) { t.Errorf("it was asked for %s", r.URL) })
	i.server = httptest.NewServer(mux)
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) publish(keys ...jose.JSONWebKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = keys
}

func (i *issuer) readsSoFar() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

// guard returns a guard that accepts the issuer's tokens for queries.
func (i *issuer) guard() *Guard {
	return &Guard{Scope: Queries, Callers: &Callers{Log: quiet, JWT: &JWT{
		Issuer: i.server.URL, Audience: "millrace", Algorithms: []string{"RS256", "ES256"}, Leeway: time.Minute,
		Keys: IssuerKeys(i.server.URL, quiet),
	}}}
}

// signed returns a token with these members in the header.
func signed(t testing.TB, algorithm jose.SignatureAlgorithm, key any, header, claims map[string]any) string {
	t.Helper()
	options := new(jose.SignerOptions).WithType("JWT")
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(body)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signature.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newEC(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func published(id string, key crypto.Signer) jose.JSONWebKey {
	return jose.JSONWebKey{KeyID: id, Key: key.Public(), Use: "sig"}
}

func invalid(reason string) string {
	return `Bearer realm="millrace", error="invalid_token", error_description="` + reason + `"`
}

const (
	malformed   = "the token is malformed, or signed by an algorithm that is not taken"
	notVerified = "the token is not signed by a key that is known"
)

func TestJSONWebTokens(t *testing.T) {
	i := newIssuer(t)
	one, two, stranger := newRSA(t), newEC(t), newRSA(t)
	i.publish(published("one", one), published("two", two), jose.JSONWebKey{KeyID: "enc", Key: stranger.Public(), Use: "enc"},
		jose.JSONWebKey{KeyID: "symmetric", Key: []byte("0123456789abcdef0123456789abcdef")})
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: marshalPKIX(t, one.Public())})
	now := time.Now()
	// good returns the claims of a good token, with changes.
	good := func(changes ...any) map[string]any {
		all := map[string]any{
			"iss": i.server.URL, "aud": []string{"other", "millrace"}, "sub": "alice", "scope": "openid queries",
			"exp": now.Add(time.Hour).Unix(), "nbf": now.Unix(), "iat": now.Unix(),
		}
		for n := 0; n < len(changes); n += 2 {
			all[changes[n].(string)] = changes[n+1] //nolint:errcheck // names
			if changes[n+1] == nil {
				delete(all, changes[n].(string)) //nolint:errcheck // names
			}
		}
		return all
	}
	id := func(name string) map[string]any { return map[string]any{"kid": name} }
	by := func(key any, name string, claims map[string]any) string {
		algorithm := jose.RS256
		if _, ok := key.(*ecdsa.PrivateKey); ok {
			algorithm = jose.ES256
		}
		return signed(t, algorithm, key, id(name), claims)
	}
	fine := by(one, "one", good())
	parts := strings.Split(fine, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."

	tests := []struct {
		name, token     string
		status          int
		slug, challenge string
	}{
		{"good", fine, 418, "", ""},
		{"good, by the other key", by(two, "two", good()), 418, "", ""},
		{"good, without a key id", signed(t, jose.RS256, one, nil, good()), 418, "", ""},
		{"good, with scp", by(one, "one", good("scope", nil, "scp", []string{"queries"})), 418, "", ""},
		{"good, for one audience", by(one, "one", good("aud", "millrace")), 418, "", ""},
		{"expired within the leeway", by(one, "one", good("exp", now.Add(-30*time.Second).Unix())), 418, "", ""},
		{"expired", by(one, "one", good("exp", now.Add(-2*time.Minute).Unix())), 401, "unauthorized", invalid("the token has expired, or never would")},
		{"without an end", by(one, "one", good("exp", nil)), 401, "unauthorized", invalid("the token has expired, or never would")},
		{"not yet valid", by(one, "one", good("nbf", now.Add(2*time.Minute).Unix())), 401, "unauthorized", invalid("the token is not valid yet")},
		{"issued in the future", by(one, "one", good("iat", now.Add(2*time.Minute).Unix())), 401, "unauthorized", invalid("the token is not valid yet")},
		{"wrong audience", by(one, "one", good("aud", "other")), 401, "unauthorized", invalid("the token is for another audience")},
		{"no audience", by(one, "one", good("aud", nil)), 401, "unauthorized", invalid("the token is for another audience")},
		{"wrong issuer", by(one, "one", good("iss", "https://evil.example")), 401, "unauthorized", invalid("the token is of another issuer")},
		{"no subject", by(one, "one", good("sub", nil)), 401, "unauthorized", invalid("the token's claims are not as they must be")},
		{"wrong scope", by(one, "one", good("scope", "commands openid")), 403, "insufficient-scope", wrongScope},
		{"no scope", by(one, "one", good("scope", nil)), 403, "insufficient-scope", wrongScope},
		{"a scope that is no text", by(one, "one", good("scope", 7)), 401, "unauthorized", invalid(notVerified)},
		{"malformed", "a.b.c", 401, "unauthorized", invalid(malformed)},
		{"another body", parts[0] + "." + strings.Split(by(one, "one", good("sub", "eve")), ".")[1] + "." + parts[2], 401, "unauthorized", invalid(notVerified)},
		{"no signature", parts[0] + "." + parts[1] + ".", 401, "unauthorized", invalid(notVerified)},
		{"alg none", none, 401, "unauthorized", invalid(malformed)},
		{"HS256 by the public key", signed(t, jose.HS256, publicPEM, id("one"), good()), 401, "unauthorized", invalid(malformed)},
		{"an algorithm that is not pinned", signed(t, jose.RS512, one, id("one"), good()), 401, "unauthorized", invalid(malformed)},
		{"another key by a known name", by(stranger, "one", good()), 401, "unauthorized", invalid(notVerified)},
		{"an unknown key", by(stranger, "three", good()), 401, "unauthorized", invalid(notVerified)},
		{"a key for something else", by(stranger, "enc", good()), 401, "unauthorized", invalid(notVerified)},
		{"a key that it brings along", signed(t, jose.RS256, stranger, map[string]any{
			"jwk": published("one", stranger), "jku": i.server.URL + "/evil", "x5u": i.server.URL + "/evil",
		}, good()), 401, "unauthorized", invalid(notVerified)},
		{"a critical header that nobody knows", signed(t, jose.RS256, one, map[string]any{"kid": "one", "crit": []string{"x"}, "x": 1}, good()), 401, "unauthorized", invalid(notVerified)},
	}
	g := i.guard()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want(t, call(g, bearing("Bearer "+test.token)), test.status, test.slug, test.challenge)
		})
	}
	if reads := i.readsSoFar(); reads != 1 {
		t.Errorf("the keys were read %d times", reads)
	}
}

func marshalPKIX(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
