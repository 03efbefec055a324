package service

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// A process takes the tokens of the issuer, with the keys from the issuer or
// from a file.
func TestIssuer(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{KeyID: "one", Key: key.Public(), Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	var issuer *httptest.Server
	issuer = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/keys" {
			_, _ = w.Write(keys)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer.URL, issuer.URL+"/keys")
	}))
	defer issuer.Close()
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, keys, 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, new(jose.SignerOptions).WithHeader("kid", "one"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(audience, scope string) string {
		text, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": issuer.URL, "aud": audience, "sub": "alice", "scope": scope, "exp": time.Now().Add(time.Hour).Unix(),
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, more := range map[string]settings{"discovery": nil, "file": {"auth.jwt.keys": file}} {
		t.Run(name, func(t *testing.T) {
			p := launch(t, settings{
				"data_dir": t.TempDir(), "roles": "broker", "broker.address": "localhost:0", "admin.address": "localhost:0",
				"auth.jwt.issuer": issuer.URL, "auth.jwt.audience": "millrace",
			}.with(more))
			p.waitForBanner(t)
			ask := func(token string) answer {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.at.Admin+"/debug/pprof/cmdline", http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Authorization", "Bearer "+token)
				got, err := do(http.DefaultClient, request)
				if err != nil {
					t.Fatal(err)
				}
				return got
			}
			if got := ask(token("millrace", "operate")); got.status != http.StatusOK {
				t.Errorf("a good token: %s", got)
			}
			wantProblem(t, ask(token("other", "operate")), 401, "unauthorized")
			wantProblem(t, ask(token("millrace", "commands queries")), 403, "insufficient-scope")
		})
	}
}
