package gateway

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// inMemory is a network without a kernel, so that tests can make up the time
// and nothing is buffered on the way.
type inMemory struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (n *inMemory) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *inMemory) Close() error   { close(n.closed); return nil }
func (n *inMemory) Addr() net.Addr { return &net.UnixAddr{} }

// dialInMemory serves as web.Server does, and connects.
func dialInMemory(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	network := &inMemory{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{
		Handler: handler, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second,
		ErrorLog: log.New(io.Discard, "", 0),
	}
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(network) }()
	client, conn := net.Pipe()
	t.Cleanup(func() {
		_ = client.Close()
		_ = server.Close()
		<-served
	})
	network.conns <- conn
	return client
}

// dialTCP serves on a real network.
func dialTCP(t *testing.T, handler http.Handler) *net.TCPConn {
	t.Helper()
	server := httptest.NewServer(handler)
	address, err := net.ResolveTCPAddr("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialTCP("tcp", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Close()
	})
	return conn
}

// importClient sends an import by hand, in chunks.
type importClient struct {
	t      *testing.T
	conn   net.Conn
	in     *bufio.Reader
	answer *http.Response // once its head is read
	out    *json.Decoder
}

func startImport(t *testing.T, conn net.Conn, headers ...string) *importClient {
	t.Helper()
	head := "POST /commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	if !strings.Contains(head, "Content-Length") {
		head += "Transfer-Encoding: chunked\r\n"
	}
	c := &importClient{t: t, conn: conn, in: bufio.NewReader(conn)}
	c.raw(head + "\r\n")
	return c
}

func (c *importClient) raw(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Errorf("write: %v", err)
	}
}

// send sends lines, each with its end.
func (c *importClient) send(lines ...string) {
	c.t.Helper()
	text := strings.Join(lines, "\n") + "\n"
	c.raw(fmt.Sprintf("%x\r\n%s\r\n", len(text), text))
}

func (c *importClient) end() { c.raw("0\r\n\r\n") }

func (c *importClient) readHead() {
	c.t.Helper()
	answer, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost}) //nolint:bodyclose // the connection is closed instead
	if err != nil {
		c.t.Fatalf("read the head of the answer: %v", err)
	}
	c.answer, c.out = answer, json.NewDecoder(answer.Body)
}

// next is the next result, in short: its line, status or problem, and id;
// "" at the end.
func (c *importClient) next() string {
	c.t.Helper()
	if c.answer == nil {
		c.readHead()
	}
	var result struct {
		Line             int
		ID, Type, Status string
		Version          uint64
		Problem          *struct {
			Type, ID string
			Status   int
		}
	}
	switch err := c.out.Decode(&result); {
	case errors.Is(err, io.EOF):
		return ""
	case err != nil:
		c.t.Errorf("read a result: %v", err)
		return ""
	}
	short := []string{fmt.Sprint(result.Line)}
	if p := result.Problem; p != nil {
		short = append(short, strings.TrimPrefix(p.Type, "urn:millrace:problem:"), fmt.Sprint(p.Status), p.ID)
	} else {
		short = append(short, result.Status, result.ID)
	}
	return strings.TrimSpace(strings.Join(short, " "))
}

// rest are the results up to the end of the answer.
func (c *importClient) rest() (all []string) {
	c.t.Helper()
	for next := c.next(); next != ""; next = c.next() {
		all = append(all, next)
	}
	return all
}

func (c *importClient) want(results ...string) {
	c.t.Helper()
	for _, want := range results {
		if got := c.next(); got != want {
			c.t.Errorf("got result %q, want %q", got, want)
		}
	}
}

// wantEnd fails unless these are all results left, and the answer is whole.
func (c *importClient) wantEnd(results ...string) {
	c.t.Helper()
	if diff := cmp.Diff(results, c.rest()); diff != "" {
		c.t.Errorf("results (-want +got):\n%s", diff)
	}
}

func create(id, user string) string { return commandOf("createUser", id, user, "Ann") }

// gates hold sends until the test opens them, by command id.
type gates struct {
	mu    sync.Mutex
	open  map[string]chan struct{}
	began []string // ids of the sends that have begun, in order
}

func (g *gates) of(id string) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open = map[string]chan struct{}{}
	}
	if g.open[id] == nil {
		g.open[id] = make(chan struct{})
	}
	return g.open[id]
}

func (g *gates) pass(c *eventlog.Envelope) error {
	gate := g.of(c.ID)
	g.mu.Lock()
	g.began = append(g.began, c.ID)
	g.mu.Unlock()
	<-gate
	return nil
}

// underWay returns the sends that have begun since the last call, sorted.
func (g *gates) underWay() []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	began := g.began
	g.began = nil
	slices.Sort(began)
	return began
}
