package guard

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// IssuerKeys returns the keys that an issuer publishes (OpenID Connect
// Discovery 1.0). The first token causes the first read.
func IssuerKeys(issuer string, log *slog.Logger) *Keys {
	client := &http.Client{
		// No redirects: only the issuer itself may name keys.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Keys{log: log, read: func(ctx context.Context) ([]jose.JSONWebKey, error) {
		var discovered struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
		if err := fetch(ctx, client, at, &discovered); err != nil {
			return nil, err
		}
		if discovered.Issuer != issuer {
			return nil, fmt.Errorf("%s is of another issuer, %q", at, discovered.Issuer)
		}
		if !trustworthy(discovered.JWKS) {
			return nil, fmt.Errorf("%s names keys at %q, which is not https", at, discovered.JWKS)
		}
		var set jose.JSONWebKeySet
		if err := fetch(ctx, client, discovered.JWKS, &set); err != nil {
			return nil, err
		}
		return usable(set.Keys, discovered.JWKS)
	}}
}

// trustworthy reports whether only the named host can answer at a URL: https, or
// http on this machine.
func trustworthy(text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || err == nil && ip.IsLoopback())
}

// maxFetched is the limit of an issuer's answer, in bytes.
const maxFetched = 1 << 20

func fetch(ctx context.Context, client *http.Client, at string, into any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, http.NoBody)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, answer.Status)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxFetched))
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// FileKeys returns the keys in a file: PEM with public keys or certificates, or
// a JSON Web Key Set (RFC 7517). The file is read at once, and later as often as
// an issuer's keys. An error says why the first read failed.
func FileKeys(ctx context.Context, file string, log *slog.Logger) (*Keys, error) {
	k := &Keys{log: log, read: func(context.Context) ([]jose.JSONWebKey, error) {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		keys, err := parseKeys(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		return usable(keys, file)
	}}
	keys, err := k.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	k.known.Store(&keySet{keys, time.Now()})
	return k, nil
}

func parseKeys(text []byte) ([]jose.JSONWebKey, error) {
	if bytes.HasPrefix(bytes.TrimSpace(text), []byte("{")) {
		var set jose.JSONWebKeySet
		err := json.Unmarshal(text, &set)
		return set.Keys, err
	}
	var keys []jose.JSONWebKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "CERTIFICATE":
			var cert *x509.Certificate
			if cert, err = x509.ParseCertificate(block.Bytes); err == nil {
				key = cert.PublicKey
			}
		default:
			err = errors.New("it holds a " + block.Type + ", where only public keys and certificates belong")
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, jose.JSONWebKey{Key: key})
	}
	return keys, nil
}

// usable returns the public keys for signatures; an issuer may list other keys.
func usable(keys []jose.JSONWebKey, from string) (public []jose.JSONWebKey, err error) {
	for _, key := range keys {
		if key.Valid() && key.IsPublic() && (key.Use == "" || key.Use == "sig") {
			public = append(public, key)
		}
	}
	if len(public) == 0 {
		return nil, fmt.Errorf("%s has no public key for signatures", from)
	}
	return public, nil
}
