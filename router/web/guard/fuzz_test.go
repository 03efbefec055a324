package guard

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// A parsed token has scopes, and admits no other token.
func FuzzParseToken(f *testing.F) {
	digest := strings.Repeat("0a", 32)
	for _, seed := range []string{"shop:commands+queries:" + digest, "a:operate:" + strings.ToUpper(digest), "a::" + digest, ":queries:", "a:b:c:d", ""} {
		f.Add(seed, "token")
	}
	f.Fuzz(func(t *testing.T, text, presented string) {
		token, err := ParseToken(text)
		if err != nil {
			return
		}
		if token.name == "" || token.scopes == 0 || token.scopes&^everything != 0 {
			t.Errorf("%q is taken for %+v", text, token)
		}
		if _, _, ok := lookUp([]Token{token}, presented); ok {
			t.Errorf("%q lets in %q", text, presented)
		}
	})
}

// A request without the token is never admitted. The challenge in the answer is
// always one header.
func FuzzBearer(f *testing.F) {
	const secret = "correct-horse-battery-staple"
	callers := &Guard{Callers: &Callers{Log: quiet, Tokens: []Token{{"shop", Queries, sha256.Sum256([]byte(secret))}}}, Scope: Queries}
	for _, seed := range []string{"Bearer " + secret, "bearer   " + secret + " ", "Bearer", "Bearer a.b.c", "Basic eDp5", "Bearer a\nBearer b", "", "Bearer \x00\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, fields string) {
		r := &http.Request{Header: http.Header{"Authorization": strings.Split(fields, "\n")}}
		_, refusal := callers.admit(r)
		if refusal == nil && (!strings.Contains(fields, secret) || strings.Contains(fields, "\n")) {
			t.Errorf("%q gets in", fields)
		}
		if refusal != nil && (refusal.problem.Status != http.StatusUnauthorized || strings.ContainsAny(refusal.challenge, "\r\n\x00")) {
			t.Errorf("%q is answered with %d, %q", fields, refusal.problem.Status, refusal.challenge)
		}
	})
}

// Only the issuer's tokens are admitted.
func FuzzJSONWebToken(f *testing.F) {
	key := newEC(f)
	keys := &Keys{log: quiet, next: time.Now().Add(time.Hour)}
	keys.known.Store(&keySet{[]jose.JSONWebKey{published("one", key)}, time.Now()})
	tokens := &JWT{Issuer: "i", Audience: "a", Algorithms: []string{"RS256", "ES256"}, Keys: keys}
	claims := map[string]any{"iss": "i", "aud": "a", "sub": "shop", "scope": "queries", "exp": time.Now().Add(24 * time.Hour).Unix()}
	good := signed(f, jose.ES256, key, map[string]any{"kid": "one"}, claims)
	head, rest, _ := strings.Cut(good, ".")
	body, _, _ := strings.Cut(rest, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
	for _, seed := range []string{
		good, good + "=", head + "." + body + ".", none + "." + body + ".", "..", "a.b.c", `{"payload":"","signatures":[{},{}]}`,
		signed(f, jose.ES256, newEC(f), nil, claims), signed(f, jose.ES256, key, nil, map[string]any{"scope": []any{1}, "aud": 1}),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		subject, scopes, err := tokens.verify(t.Context(), text)
		var invalid *invalidToken
		if err != nil {
			if !errors.As(err, &invalid) || strings.ContainsAny(invalid.reason, "\"\r\n") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		if subject != "shop" || scopes != Queries || !strings.HasPrefix(text, head+"."+body+".") {
			t.Errorf("%q is taken for %q, who may %s", text, subject, scopes)
		}
	})
}

// No file and no issuer's answer turns a secret into a key, or causes a panic.
func FuzzParseKeys(f *testing.F) {
	key := newEC(f)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published("one", key)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(set)
	for _, seed := range []string{
		"", "{", `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, `{"keys":[{"kty":"RSA","n":"AA","e":"AA"}]}`, `{"keys":[null]}`,
		"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if err == nil {
			keys, err = usable(keys, "here")
		}
		if err != nil {
			return
		}
		if len(keys) == 0 {
			t.Errorf("%q has no key, and no error", text)
		}
		for _, key := range keys {
			switch key.Key.(type) {
			case []byte, crypto.Signer:
				t.Errorf("%q holds a %T", text, key.Key)
			}
		}
	})
}
