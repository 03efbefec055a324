package web

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// serve starts a server with the handler on a free port, until the test ends.
func serve(t *testing.T, handler http.HandlerFunc) *Server {
	t.Helper()
	server, err := Listen(t.Context(), "test", "127.0.0.1:0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(handler, quiet)
	return server
}

// get sends one request. The error says that the connection was cut off.
func get(t *testing.T, server *Server) (status int, header http.Header, body []byte, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+server.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err = io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, body, err
}

func TestListenOnAPortInUse(t *testing.T) {
	first, err := Listen(t.Context(), "test", "127.0.0.1:0", Settings{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Listen(t.Context(), "command-service", first.Addr(), Settings{})
	if err == nil {
		t.Fatal("the port was given twice")
	}
	if got, want := err.Error(), "command-service: can't listen on "+first.Addr()+": "; !strings.HasPrefix(got, want) ||
		strings.Count(got, first.Addr()) != 1 || strings.Contains(got, "\n") {
		t.Errorf("got %q", got)
	}
	if err := first.Close(t.Context()); err != nil { // before Serve
		t.Errorf("close: %v", err)
	}
	again, err := Listen(t.Context(), "test", first.Addr(), Settings{})
	if err != nil {
		t.Fatalf("the port is not free again: %v", err)
	}
	if err := again.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestServerPanics(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) { panic("secret") })
	defer func() { _ = server.Close(t.Context()) }()
	for range 2 { // the server goes on
		status, header, body, err := get(t, server)
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, status, header, body, 500, "internal")
		if strings.Contains(string(body), "secret") {
			t.Errorf("%s tells too much", body)
		}
	}
}

// A panic in the middle of an answer cuts off the connection.
func TestServerPanicsHalfWay(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flush: %v", err)
		}
		panic("secret")
	})
	defer func() { _ = server.Close(t.Context()) }()
	_, _, body, err := get(t, server)
	if err == nil || string(body) != "half" {
		t.Errorf("got %q, %v; want half of it and an error", body, err)
	}
}

// A handler's panic with http.ErrAbortHandler cuts off the client, without a 500.
func TestServerAborts(t *testing.T) {
	server := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	defer func() { _ = server.Close(t.Context()) }()
	if status, _, body, err := get(t, server); err == nil {
		t.Errorf("got %d %s", status, body)
	}
}

// A connection beyond the limit waits until another connection is closed.
func TestMaxConnections(t *testing.T) {
	server, err := Listen(t.Context(), "test", "127.0.0.1:0", Settings{MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, http.StatusOK, "done") }), quiet)
	defer func() { _ = server.Close(t.Context()) }()
	first, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(first, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := http.ReadResponse(bufio.NewReader(first), nil); err != nil { //nolint:bodyclose // the connection's
		t.Fatal(err)
	}
	answered := make(chan error, 1)
	go func() {
		_, _, _, err := get(t, server)
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Errorf("the second is answered (%v) while the first is there", err)
	case <-time.After(50 * time.Millisecond):
	}
	_ = first.Close()
	if err := <-answered; err != nil {
		t.Error(err)
	}
}

func TestServerCloseWaits(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(begun)
		<-release
		WriteJSON(w, http.StatusOK, "done")
	})
	answered := make(chan error, 1)
	go func() {
		status, _, _, err := get(t, server)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("answered with %d", status)
		}
		answered <- err
	}()
	<-begun
	closed := make(chan error, 1)
	go func() { closed <- server.Close(t.Context()) }()
	for { // Close stops new requests at once
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	select {
	case err := <-closed:
		t.Fatalf("closed (%v) with an answer under way", err)
	default:
	}
	close(release)
	if err := <-answered; err != nil {
		t.Errorf("the answer under way: %v", err)
	}
	if err := <-closed; err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestServerCloseCutsOff(t *testing.T) {
	begun := make(chan struct{})
	cut := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(cut)
	})
	answered := make(chan error, 1)
	go func() {
		_, _, _, err := get(t, server)
		answered <- err
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := server.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("close: %v, want the context's end", err)
	}
	<-cut
	if err := <-answered; err == nil {
		t.Error("the client was answered")
	}
}

// A client that closed the sending side after the request still reads the
// answer, so the work for the answer goes on.
func TestServerHalfClosedClient(t *testing.T) {
	server := serve(t, Handler(quiet, func(w http.ResponseWriter, r *http.Request) error {
		<-ClientContext(r).Done()
		if err := r.Context().Err(); err != nil {
			return err
		}
		WriteJSON(w, http.StatusOK, "the answer")
		return nil
	}).ServeHTTP)
	defer func() { _ = server.Close(t.Context()) }()
	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	sending, ok := conn.(*net.TCPConn)
	if !ok {
		t.Fatalf("a %T has no sending side", conn)
	}
	if err := sending.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); answer.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != `"the answer"` || err != nil {
		t.Errorf("got %s %s, %v", answer.Status, body, err)
	}
}

// Facts about net/http that docs/http.md states: 431 comes at the limit plus
// 4 KiB, and the preface of HTTP/2 reaches the routes, which have no such path.
func TestServerLimitsAsDocumented(t *testing.T) {
	server, err := Listen(t.Context(), "test", "localhost:0", Settings{MaxHeaderBytes: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }), quiet)
	defer func() { _ = server.Close(t.Context()) }()
	for request, want := range map[string]int{
		"GET / HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("x", 11<<10) + "\r\n\r\n": http.StatusNoContent,
		"GET / HTTP/1.1\r\nHost: test\r\nX: " + strings.Repeat("x", 12<<10) + "\r\n\r\n": http.StatusRequestHeaderFieldsTooLarge,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                               http.StatusNoContent,
	} {
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, request) // the server may close early
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%.20q: %v", request, err)
			continue
		}
		_ = answer.Body.Close()
		_ = conn.Close()
		if answer.StatusCode != want {
			t.Errorf("%.20q, %d bytes: got %s, want %d", request, len(request), answer.Status, want)
		}
	}
}
