package guard

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// source has the published keys of a test.
type source struct {
	keys  []jose.JSONWebKey
	err   error
	reads int
}

func (s *source) read(context.Context) ([]jose.JSONWebKey, error) {
	s.reads++
	return s.keys, s.err
}

func TestKeysAreReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := published("one", newEC(t)), published("two", newEC(t))
		s := &source{keys: []jose.JSONWebKey{one}}
		k := &Keys{read: s.read, log: quiet}
		// find looks for a key, as the guard does for each token.
		find := func(id string, wantFound bool, wantReads int) {
			t.Helper()
			found, err := k.candidates(t.Context(), id, "ES256")
			synctest.Wait() // for the read in the background
			if err != nil || (len(found) > 0) != wantFound || s.reads != wantReads {
				t.Errorf("%s: %d keys, %v, after %d reads; want %v, %d reads", id, len(found), err, s.reads, wantFound, wantReads)
			}
		}
		find("one", true, 1)
		find("one", true, 1)
		for range 100 {
			find("two", false, 1) // at most one read a minute
		}
		s.keys = []jose.JSONWebKey{two} // rotated
		time.Sleep(keysRest)
		find("two", true, 2)
		find("one", false, 2)
		time.Sleep(keysFresh + 1)
		find("two", true, 3) // a read in the background
		s.keys = []jose.JSONWebKey{one}
		time.Sleep(keysFresh + 1)
		find("two", true, 4) // with the old keys meanwhile
		find("two", false, 4)
		find("one", true, 4)
	})
}

func TestKeysThatCantBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{err: errors.New("away")}
		var log bytes.Buffer
		k := &Keys{read: s.read, log: slog.New(slog.NewTextHandler(&log, nil))}
		find := func(wantErr error, wantReads int) {
			t.Helper()
			found, err := k.candidates(t.Context(), "one", "ES256")
			synctest.Wait()
			if !errors.Is(err, wantErr) || s.reads != wantReads || err == nil && len(found) != 1 {
				t.Errorf("%d keys, %v, after %d reads; want %v, %d reads", len(found), err, s.reads, wantErr, wantReads)
			}
		}
		find(errNoKeys, 1)
		find(errNoKeys, 1)
		if !strings.Contains(log.String(), "away") {
			t.Errorf("it logged %q", &log)
		}
		s.keys, s.err = []jose.JSONWebKey{published("one", newEC(t))}, nil
		time.Sleep(keysRetry)
		find(nil, 2)

		s.err = errors.New("away again")
		time.Sleep(keysFresh + 1)
		find(nil, 3)
		time.Sleep(keysStale - keysFresh - 1)
		find(nil, 4) // an hour old
		time.Sleep(keysRetry)
		find(errNoKeys, 5) // over an hour old: no token can be verified
	})
}

func TestIssuersThatCantBeTrusted(t *testing.T) {
	key := newEC(t)
	for name, spoil := range map[string]func(*issuer){
		"away":          func(i *issuer) { i.away = true },
		"another":       func(i *issuer) { i.says = "https://evil.example" },
		"without a key": func(i *issuer) { i.keys = nil },
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.publish(published("one", key))
			spoil(i)
			token := signed(t, jose.ES256, key, map[string]any{"kid": "one"}, map[string]any{
				"iss": i.server.URL, "aud": "millrace", "sub": "a", "scope": "queries", "exp": time.Now().Add(time.Hour).Unix(),
			})
			got := call(i.guard(), bearing("Bearer "+token))
			want(t, got, 503, "unavailable", "")
			if got.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
		})
	}
}

func TestTrustworthy(t *testing.T) {
	for text, want := range map[string]bool{
		"https://a.example/keys": true, "http://localhost:1/keys": true, "http://127.0.0.1/keys": true, "http://[::1]/keys": true,
		"http://a.example/keys": false, "http://localhost.evil.example/": false, "file:///etc/passwd": false, "": false, "%": false,
	} {
		if got := trustworthy(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestFileKeys(t *testing.T) {
	rsaKey, ecKey := newRSA(t), newEC(t)
	public := func(key any) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: marshalPKIX(t, key)})
	}
	private, err := x509.MarshalPKCS8PrivateKey(ecKey)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{published("one", rsaKey), published("two", ecKey)}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, content string
		keys          int // for any key id
		wrong         string
	}{
		{"PEM", string(public(rsaKey.Public())), 1, ""},
		{"two of them", string(public(rsaKey.Public())) + string(public(ecKey.Public())), 2, ""},
		{"JSON Web Key Set", string(set), 0, ""}, // has ids
		{"a private key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), 0, "it holds a PRIVATE KEY, where only public keys"},
		{"nothing", "", 0, "no public key"},
		{"no keys", `{"keys":[]}`, 0, "no public key"},
		{"a symmetric key", `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, 0, "no public key"},
		{"neither", "{", 0, "unexpected end"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "keys")
			if err := os.WriteFile(file, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			k, err := FileKeys(t.Context(), file, quiet)
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) || !strings.Contains(err.Error(), file) {
					t.Errorf("got %v, want %s", err, test.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			found, err := k.candidates(t.Context(), "any", "RS256")
			if err != nil || len(found) != test.keys {
				t.Errorf("%d keys, %v", len(found), err)
			}
			for _, id := range []string{"one", "two"} {
				if found, err := k.candidates(t.Context(), id, "RS256"); err != nil || len(found) == 0 {
					t.Errorf("key %s: %d, %v", id, len(found), err)
				}
			}
		})
	}
	if _, err := FileKeys(t.Context(), "none.pem", quiet); err == nil {
		t.Error("a file that isn't there is read")
	}
}
