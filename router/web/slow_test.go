package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// A thousand slow clients, with one byte of a header per second, are cut off in
// time. Other clients hardly notice the slow clients.
func TestSlowClients(t *testing.T) {
	const slow, headerTimeout = 1000, 3 * time.Second
	server, err := Listen(t.Context(), "test", "127.0.0.1:0", Settings{HeaderTimeout: headerTimeout})
	if err != nil {
		t.Fatal(err)
	}
	server.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { WriteJSON(w, http.StatusOK, "well") }), quiet)
	defer func() { _ = server.Close(t.Context()) }()

	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	alone := p99(t, client, server)

	var clients, connected sync.WaitGroup
	lasted := make([]time.Duration, slow)
	connected.Add(slow)
	for i := range slow {
		clients.Go(func() { lasted[i] = trickle(t, server, connected.Done) })
	}
	connected.Wait()
	among := p99(t, client, server)
	clients.Wait()
	if longest := slices.Max(lasted); longest > headerTimeout+5*time.Second {
		t.Errorf("a slow client was cut off after %s", longest)
	}
	t.Logf("p99 alone %s, among %d slow clients %s; the last of them was cut off after %s", alone, slow, among, slices.Max(lasted))
	// Twice the time, and some more for the noise of a busy machine.
	if among > 2*alone+50*time.Millisecond {
		t.Errorf("p99 is %s among slow clients, %s without", among, alone)
	}
}

// trickle sends an endless header, and returns the time until the server cuts the
// connection.
func trickle(t *testing.T, server *Server, connected func()) time.Duration {
	conn, err := net.Dial("tcp", server.Addr())
	connected()
	if err != nil {
		t.Error(err)
		return 0
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: test\r\nX: "); err != nil {
		return time.Since(began)
	}
	answer := make([]byte, 1)
	for time.Since(began) < 20*time.Second {
		if _, err := conn.Write([]byte("x")); err != nil {
			break
		}
		if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Error(err)
		}
		if _, err := conn.Read(answer); !errors.Is(err, os.ErrDeadlineExceeded) {
			break // cut off, or answered
		}
	}
	return time.Since(began)
}

// p99 returns the 99th percentile of request times: the least of several rounds,
// because of other load on the machine.
func p99(t *testing.T, client *http.Client, server *Server) time.Duration {
	t.Helper()
	return min(p99Once(t, client, server), p99Once(t, client, server), p99Once(t, client, server))
}

// p99Once returns the time of the slowest but one of 200 requests.
func p99Once(t *testing.T, client *http.Client, server *Server) time.Duration {
	t.Helper()
	took := make([]time.Duration, 200)
	for i := range took {
		began := time.Now()
		answer, err := client.Get("http://" + server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		took[i] = time.Since(began)
		time.Sleep(time.Millisecond)
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}
