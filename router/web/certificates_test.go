package web

import (
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/testing/certs"
)

// serveTLS starts a server that answers with the caller's name, "nobody" without
// a certificate.
func serveTLS(t *testing.T, certificates *Certificates, demand tls.ClientAuthType) *Server {
	t.Helper()
	server, err := Listen(t.Context(), "test", "127.0.0.1:0", Settings{TLS: certificates.Server(demand)})
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.VerifiedChains) > 0 {
			name = r.TLS.VerifiedChains[0][0].Subject.CommonName
		}
		_, _ = io.WriteString(w, name)
	}), quiet)
	t.Cleanup(func() { _ = server.Close(t.Context()) })
	return server
}

// ask sends one request over TLS, and returns the server's name and answer.
func ask(t *testing.T, server *Server, config *tls.Config) (name, said string, err error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+server.Addr(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.TLS.PeerCertificates[0].Subject.CommonName, string(body), err
}

func TestTLSVersions(t *testing.T) {
	a := certs.New(t)
	f := a.Files(t.TempDir(), "first")
	certificates, err := LoadCertificates(f.Cert, f.Key, "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	server := serveTLS(t, certificates, tls.RequireAndVerifyClientCert)
	tests := []struct {
		name   string
		config *tls.Config
		refuse bool
	}{
		{"1.3", &tls.Config{MinVersion: tls.VersionTLS13}, false},
		{"1.2", &tls.Config{MaxVersion: tls.VersionTLS12}, false},
		{"1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, true},
		{"1.2 without authenticated encryption", &tls.Config{
			MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.config.RootCAs = a.Pool()
			_, said, err := ask(t, server, test.config)
			if refused := err != nil; refused != test.refuse || !refused && said != "nobody" {
				t.Errorf("it said %q, %v", said, err)
			}
		})
	}
	if status, _, _, err := get(t, server); err == nil && status != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered with %d", status)
	}
}

func TestClientCertificates(t *testing.T) {
	a, other := certs.New(t), certs.New(t)
	f := a.Files(t.TempDir(), "first")
	certificates, err := LoadCertificates(f.Cert, f.Key, f.CA, quiet)
	if err != nil {
		t.Fatal(err)
	}
	needed := serveTLS(t, certificates, tls.RequireAndVerifyClientCert)
	optional := serveTLS(t, certificates, tls.VerifyClientCertIfGiven)
	tests := []struct {
		name           string
		certs          []tls.Certificate
		needed, option string // the answers, "" if refused
	}{
		{"none", nil, "", "nobody"},
		{"of the authority", []tls.Certificate{a.Pair("shop")}, "shop", "shop"},
		{"of another", []tls.Certificate{other.Pair("shop")}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for server, want := range map[*Server]string{needed: test.needed, optional: test.option} {
				config := &tls.Config{RootCAs: a.Pool(), GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					if len(test.certs) == 0 {
						return new(tls.Certificate), nil
					}
					return &test.certs[0], nil // whatever authorities the server names
				}}
				if _, said, err := ask(t, server, config); said != want || (err == nil) != (want != "") {
					t.Errorf("it said %q, %v; want %q", said, err, want)
				}
			}
		})
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	a := certs.New(t)
	f := a.Files(t.TempDir(), "first")
	var log bytes.Buffer
	certificates, err := LoadCertificates(f.Cert, f.Key, "", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	server := serveTLS(t, certificates, tls.NoClientCert)
	want := func(name string) {
		t.Helper()
		certificates.mu.Lock()
		certificates.looked = time.Time{} // so the next handshake checks the files
		certificates.mu.Unlock()
		if got, _, err := ask(t, server, &tls.Config{RootCAs: a.Pool()}); err != nil || got != name {
			t.Errorf("the server is %q, %v; want %q", got, err, name)
		}
	}
	want("first")
	cert, key := a.Sign("second, and longer")
	overwrite(t, f.Cert, cert) // the key file still has the old key
	want("first")
	if !strings.Contains(log.String(), "the old ones stay in use") {
		t.Errorf("it logged %q", &log)
	}
	overwrite(t, f.Key, key)
	want("second, and longer")
	if err := os.Remove(f.Key); err != nil {
		t.Fatal(err)
	}
	want("second, and longer")
}

func TestCertificatesThatCantBeRead(t *testing.T) {
	a := certs.New(t)
	f := a.Files(t.TempDir(), "first")
	empty := filepath.Join(t.TempDir(), "empty.pem")
	overwrite(t, empty, nil)
	for _, test := range []struct{ cert, key, ca, want string }{
		{"none.pem", f.Key, "", "none.pem"},
		{f.Cert, empty, "", "certificate " + f.Cert + " with key " + empty},
		{f.Cert, f.Key, empty, "certificate authority " + empty},
		{f.Cert, f.Key, "none.pem", "certificate authority: open none.pem"},
	} {
		if _, err := LoadCertificates(test.cert, test.key, test.ca, quiet); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func overwrite(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
