package web

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/testing/certs"
)

// serveHTTP2 starts a server over TLS, and returns a client that speaks HTTP/2.
func serveHTTP2(t *testing.T, settings Settings, handler http.HandlerFunc) (url string, client *http.Client) {
	t.Helper()
	a := certs.New(t)
	f := a.Files(t.TempDir(), "server")
	certificates, err := LoadCertificates(f.Cert, f.Key, "", quiet)
	if err != nil {
		t.Fatal(err)
	}
	settings.TLS = certificates.Server(tls.NoClientCert)
	server, err := Listen(t.Context(), "test", "127.0.0.1:0", settings)
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(handler, quiet)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.Pool()}, ForceAttemptHTTP2: true}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close(context.WithoutCancel(t.Context()))
	})
	return "https://" + server.Addr(), &http.Client{Transport: transport}
}

// request is a request with a time of its own.
func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// More answers without an end than a browser has connections of HTTP/1.1, all on
// one connection.
func TestManyEndlessAnswers(t *testing.T) {
	t.Parallel()
	const tabs = 7
	var mu sync.Mutex
	connections := map[string]bool{}
	url, client := serveHTTP2(t, Settings{MaxConnections: 1}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		connections[r.Proto+" "+r.RemoteAddr] = true
		mu.Unlock()
		_, _ = io.WriteString(w, "begun")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		<-r.Context().Done()
	})
	for range tabs {
		answer, err := client.Do(request(t, http.MethodGet, url, http.NoBody))
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		begun := make([]byte, 5)
		if _, err := io.ReadFull(answer.Body, begun); err != nil || answer.ProtoMajor != 2 {
			t.Errorf("%s: %q, %v", answer.Proto, begun, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(connections) != 1 {
		t.Errorf("connections: %v", connections)
	}
}

// The limits of a request's and of an answer's time hold for HTTP/2, and other
// requests of the connection go on.
func TestSlowRequestsOfHTTP2(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	url, client := serveHTTP2(t, Settings{ReadTimeout: 300 * time.Millisecond, WriteTimeout: 300 * time.Millisecond}, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/reads":
			_, err := io.ReadAll(r.Body)
			ended <- err
		case "/writes":
			var err error
			for err == nil {
				_, err = w.Write(make([]byte, 1<<16))
			}
			ended <- err
		}
	})
	for _, path := range []string{"/reads", "/writes"} {
		body, sending := io.Pipe()
		r := request(t, http.MethodPost, url+path, body)
		go func() { _, _ = sending.Write([]byte("a")) }() // and never ends
		go func() {
			if answer, err := client.Do(r); err == nil {
				defer answer.Body.Close()
				<-r.Context().Done() // and never reads
			}
		}()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s ends without an error", path)
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s goes on", path)
		}
		if answer, err := client.Do(request(t, http.MethodGet, url+"/", http.NoBody)); err != nil {
			t.Errorf("another request: %v", err)
		} else {
			_ = answer.Body.Close()
		}
		_ = sending.Close()
	}
}
