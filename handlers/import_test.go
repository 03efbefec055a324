package handlers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/messaging"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	server := &http.Server{Handler: handler, ReadTimeout: 30 * time.Second, WriteTimeout: 60 * time.Second}
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
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Close()
	})
	return conn.(*net.TCPConn)
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
	answer, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodPost})
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

func padded(line string, length int) string {
	return line + strings.Repeat(" ", length-len(line))
}

// Wrong lines are reported in their places, with the number they have in the
// body, and take nothing from the others.
func TestImportLines(t *testing.T) {
	const (
		good    = maxBody
		tooLong = maxBody + 1
	)
	tests := []struct {
		name, body string
		want       []string
	}{
		{"nothing", "", nil},
		{"empty lines", "\n\r\n\n", nil},
		{"one", create("a", "1") + "\n", []string{"1 accepted a"}},
		{"no end of line", create("a", "1"), []string{"1 accepted a"}},
		{"CR and LF", create("a", "1") + "\r\n" + create("b", "2") + "\r\n", []string{"1 accepted a", "2 accepted b"}},
		{"CR at the end", create("a", "1") + "\r", []string{"1 accepted a"}},
		{"empty lines between", "\n" + create("a", "1") + "\n\r\n\n" + create("b", "2"), []string{"2 accepted a", "5 accepted b"}},
		{"white space is no empty line", " \n" + create("a", "1") + "\n\t", []string{"1 invalid-request 400", "2 accepted a", "3 invalid-request 400"}},
		{
			"no JSON", "}\n" + create("a", "1") + "\n" + create("b", "2") + create("c", "2") + "\nnull\n[1]\n" + create("d", "3"),
			[]string{"1 invalid-request 400", "2 accepted a", "3 invalid-request 400", "4 invalid-request 400", "5 invalid-request 400", "6 accepted d"},
		},
		{
			"one object over two lines", "{\"type\":\"deleteUser\",\n\"payload\":{\"id\":1}}",
			[]string{"1 invalid-request 400", "2 invalid-request 400"},
		},
		{
			"no UTF-8", strings.Replace(create("a", "1"), "Ann", "A\xff", 1) + "\n" + create("b", "2") + "\n\xff\xfe",
			[]string{"1 invalid-request 400", "2 accepted b", "3 invalid-request 400"},
		},
		{"byte order mark", "\ufeff" + create("a", "1") + "\n" + create("b", "2"), []string{"1 invalid-request 400", "2 accepted b"}},
		{"wrong command", `{"type":"createUser","id":"a","payload":{"id":1}}` + "\n" + create("b", "1"), []string{"1 invalid-request 400", "2 accepted b"}},
		{"as long as may be", padded(create("a", "1"), good) + "\n" + create("b", "2"), []string{"1 accepted a", "2 accepted b"}},
		{"as long as may be, CR and LF", padded(create("a", "1"), good) + "\r\n" + create("b", "2"), []string{"1 accepted a", "2 accepted b"}},
		{"as long as may be, at the end", padded(create("a", "1"), good), []string{"1 accepted a"}},
		{"too long", padded(create("a", "1"), tooLong) + "\n" + create("b", "2"), []string{"1 too-large 413", "2 accepted b"}},
		{"too long, CR and LF", padded(create("a", "1"), tooLong) + "\r\n" + create("b", "2"), []string{"1 too-large 413", "2 accepted b"}},
		{"far too long", padded(create("a", "1"), 5*tooLong) + "\n" + create("b", "2"), []string{"1 too-large 413", "2 accepted b"}},
		{"too long at the end", create("a", "1") + "\n" + padded(create("b", "2"), tooLong), []string{"1 accepted a", "2 too-large 413"}},
		{"longer than the buffer at the end", create("a", "1") + "\n" + padded(create("b", "2"), tooLong+2), []string{"1 accepted a", "2 too-large 413"}},
		{"far too long at the end", create("a", "1") + "\n" + padded(create("b", "2"), 5*tooLong), []string{"1 accepted a", "2 too-large 413"}},
		{"the same id twice", create("a", "1") + "\n" + create("a", "1"), []string{"1 accepted a", "2 accepted a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCommandServer(t, nil)
				c := startImport(t, dialInMemory(t, s), "Content-Length", fmt.Sprint(len(test.body)))
				go c.raw(test.body)
				c.wantEnd(test.want...)
				h := c.answer.Header
				if c.answer.StatusCode != 200 || h.Get("Content-Type") != "application/x-ndjson" || h.Get("Preference-Applied") != "" {
					t.Errorf("got %d %v", c.answer.StatusCode, h)
				}
				var accepted int
				for _, result := range test.want {
					accepted += strings.Count(result, "accepted")
				}
				if n := len(s.sentIDs()); n != accepted {
					t.Errorf("sent %d commands, want %d", n, accepted)
				}
				synctest.Wait()
				if n := s.waiting(); n != 0 {
					t.Errorf("%d still wait", n)
				}
			})
		})
	}
}

// The form of results is for clients to rely on.
func TestImportResultsOnTheWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=5")
		c.send(create("a", "1"), create("b", "1"), "{}")
		c.end()
		c.readHead()
		got, err := io.ReadAll(c.answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"line":1,"id":"a","type":"createUser","status":"succeeded","user":1,"version":1,"position":"AQAB"}` + "\n" +
			`{"line":2,"problem":` + refusal(409, "user-exists", "the user exists already", "b") + "}\n" +
			`{"line":3,"problem":{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,` +
			`"detail":"the line is wrong at the places in errors","errors":[{"pointer":"/type","detail":"is required"},{"pointer":"/payload","detail":"is required"}]}}` + "\n"
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if got := c.answer.Header.Get("Preference-Applied"); got != "wait=5" {
			t.Errorf("Preference-Applied %q", got)
		}
	})
}

func TestImportWithOneIDForAll(t *testing.T) {
	for _, key := range []string{"a", ""} {
		synctest.Test(t, func(t *testing.T) {
			s := newCommandServer(t, nil)
			r := newPost(t.Context(), create("a", "1"), "Idempotency-Key", key)
			r.Header.Set("Content-Type", "application/x-ndjson")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != 400 || !strings.Contains(w.Body.String(), `"parameter":"Idempotency-Key"`) || len(s.sentIDs()) != 0 {
				t.Errorf("Idempotency-Key: %q: got %d %s", key, w.Code, w.Body)
			}
		})
	}
}

// gates hold sends until the test opens them, by command id.
type gates struct {
	mu    sync.Mutex
	open  map[string]chan struct{}
	began []string // the ids of sends that have begun, in order
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

func (g *gates) pass(c *messaging.Command) error {
	gate := g.of(c.ID)
	g.mu.Lock()
	g.began = append(g.began, c.ID)
	g.mu.Unlock()
	<-gate
	return nil
}

// underWay are the sends that have begun since it was last asked, sorted.
func (g *gates) underWay() []string {
	synctest.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	began := g.began
	g.began = nil
	slices.Sort(began)
	return began
}

// Sends end in any order, one user's in that of the lines; results come in
// that of the lines.
func TestImportKeepsOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends gates
		s := newCommandServer(t, func(s *commandServer) { s.sending, s.gateway.Timeout = sends.pass, time.Hour })
		c := startImport(t, dialInMemory(t, s))
		for i := range 3 {
			for _, user := range []string{"a", "b", "c"} {
				c.send(create(fmt.Sprint(user, i), fmt.Sprintf("%q", user)))
			}
		}
		c.end()
		c.readHead()
		results := make(chan []string, 1)
		go func() { results <- c.rest() }()
		wantUnderWay := func(want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, sends.underWay()); diff != "" {
				t.Errorf("sends that began (-want +got):\n%s", diff)
			}
		}
		wantUnderWay("a0", "b0", "c0")
		for i := range 3 { // c's are sent before any of the others
			close(sends.of(fmt.Sprint("c", i)))
			if i < 2 {
				wantUnderWay(fmt.Sprint("c", i+1))
			}
		}
		wantUnderWay()
		close(sends.of("b0"))
		wantUnderWay("b1")
		for _, id := range []string{"a2", "a1", "b2", "b1"} {
			close(sends.of(id))
		}
		wantUnderWay("b2")
		close(sends.of("a0"))
		want := []string{"1 accepted a0", "2 accepted b0", "3 accepted c0", "4 accepted a1", "5 accepted b1", "6 accepted c1", "7 accepted a2", "8 accepted b2", "9 accepted c2"}
		if diff := cmp.Diff(want, <-results); diff != "" {
			t.Errorf("results (-want +got):\n%s", diff)
		}
		if got := fmt.Sprint(s.sentIDs()); got != "[c0 c1 c2 b0 b1 b2 a0 a1 a2]" {
			t.Errorf("sent %s", got)
		}
	})
}

// Results come while the body is still open, and don't wait for what comes
// behind them.
func TestImportStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends gates
		s := newCommandServer(t, func(s *commandServer) { s.sending, s.gateway.Timeout = sends.pass, time.Hour })
		c := startImport(t, dialInMemory(t, s))
		c.readHead() // before the first line
		for i := range 3 {
			id := fmt.Sprint("c", i)
			close(sends.of(id))
			c.send(create(id, fmt.Sprint(i)))
			c.want(fmt.Sprintf("%d accepted %s", i+1, id))
		}
		close(sends.of("a"))
		c.send(create("a", "7"), create("slow", "8"), create("b", "9"))
		c.want("4 accepted a")
		close(sends.of("slow"))
		close(sends.of("b"))
		c.want("5 accepted slow", "6 accepted b")
		c.end()
		c.wantEnd()
	})
}

func TestImportTellsOutcomes(t *testing.T) {
	withPanicUser(t)
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		start := time.Now()
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=5")
		c.send(
			create("a", "2"), create("b", "2"), commandOf("renameUser", "c", "3", "Ann"),
			panicOne, create("q", "1"), create("a", "2"), commandOf("renameUser", "a", "2", "Ann"),
		)
		c.end()
		c.wantEnd(
			"1 succeeded a", "2 user-exists 409 b", "3 user-not-found 404 c",
			"4 command-parked 500 p", "5 accepted q", "6 succeeded a", "7 command-id-reused 422 a",
		)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("took %v, want as long as the one queued was waited for", took)
		}
	})
}

// A wait begins when its line is sent, and not when all before it were
// waited for.
func TestImportWaitsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		s.holdBack()
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=10")
		c.send(create("a", "1"), create("b", "2"))
		time.Sleep(4 * time.Second)
		c.send(create("c", "3"), create("d", "4"))
		for _, want := range []struct {
			result string
			after  time.Duration
		}{{"1 accepted a", 6}, {"2 accepted b", 0}, {"3 accepted c", 4}, {"4 accepted d", 0}} {
			start := time.Now()
			c.want(want.result)
			if took := time.Since(start); took != want.after*time.Second {
				t.Errorf("%s came after %v, want %vs", want.result, took, int(want.after))
			}
		}
		s.letGo()
		c.end()
		c.wantEnd()
		synctest.Wait()
		if n := s.waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// A client that is made to wait for long, after it has sent all, still gets
// its results.
func TestImportWithALongEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends gates
		s := newCommandServer(t, func(s *commandServer) { s.sending, s.gateway.Timeout = sends.pass, time.Hour })
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=30")
		s.holdBack()
		c.send(create("a", "1"), create("b", "1"), create("c", "1"))
		c.end()
		c.readHead()
		for i, id := range []string{"a", "b", "c"} {
			time.AfterFunc(time.Duration(i+1)*2*importPatience, func() { close(sends.of(id)) })
		}
		c.wantEnd("1 accepted a", "2 accepted b", "3 accepted c")
		s.letGo()
	})
}

// After a line that may not have been taken, its user's later lines are not
// sent: they would overtake it. Others go on.
func TestImportSendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, func(s *commandServer) {
			s.sending = func(c *messaging.Command) error {
				switch c.ID {
				case "lost":
					return errors.New("no brokers")
				case "slow":
					time.Sleep(time.Minute)
				}
				return nil
			}
		})
		c := startImport(t, dialInMemory(t, s))
		var want []string
		line := func(id, user, result string) {
			c.send(create(id, user))
			want = append(want, fmt.Sprint(len(want)+1, " ", result, " ", id))
		}
		for i := range 2 * importSenders { // so that others share the senders of those that fail
			line(fmt.Sprint("before", i), fmt.Sprint(i), "accepted")
		}
		line("lost", "1", "unavailable 503")
		line("slow", "2", "unavailable 503")
		for i := range 2 * importSenders {
			result := "accepted"
			if i == 1 || i == 2 {
				result = "unavailable 503"
			}
			line(fmt.Sprint("after", i), fmt.Sprint(i), result)
		}
		c.end()
		c.wantEnd(want...)
		sent := s.sentIDs()
		if len(sent) != 4*importSenders-2 || slices.Contains(sent, "after1") || slices.Contains(sent, "after2") {
			t.Errorf("sent %v", sent)
		}
		time.Sleep(time.Minute) // the slow one comes, at last
	})
}

// What is known is told, and not sent again, though no place is free.
func TestImportOfWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(1))
		s.post(t, create("a", "1"), "Prefer", "wait=1")
		s.holdBack()
		s.wantTaken(t, "b")
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=1")
		c.send(create("a", "1"))
		c.end()
		c.wantEnd("1 succeeded a")
		s.letGo()
	})
}

const stopped = "unavailable 503"

// A service that stops takes no more lines, says where it stopped, and tells
// what it knows of those before.
func TestImportWhenTheServiceStops(t *testing.T) {
	windowful := []string{"1 accepted c0"}
	for i := range importWindow + 1 {
		windowful = append(windowful, fmt.Sprintf("%d unavailable 503 c%d", i+2, i+1))
	}
	windowful = append(windowful, fmt.Sprint(importWindow+3, " ", stopped))
	tests := []struct {
		name string
		wait string
		run  func(t *testing.T, s *commandServer, sends *gates, c *importClient)
		want []string
	}{
		{"idle", "wait=0", func(_ *testing.T, _ *commandServer, sends *gates, c *importClient) {
			close(sends.of("a"))
			c.send(create("a", "1"))
			c.want("1 accepted a")
		}, []string{"2 " + stopped}},
		{"in a line", "wait=0", func(_ *testing.T, _ *commandServer, _ *gates, c *importClient) {
			c.raw("5\r\n{\"typ\r\n")
		}, []string{"1 " + stopped}},
		{"with outcomes to come", "wait=20", func(_ *testing.T, s *commandServer, sends *gates, c *importClient) {
			close(sends.of("a"))
			s.holdBack()
			c.send(create("a", "1"))
		}, []string{"1 accepted a", "2 " + stopped}},
		{"with sends under way", "wait=0", func(_ *testing.T, _ *commandServer, sends *gates, c *importClient) {
			c.send(create("a", "1"), create("b", "1"), create("c", "2"))
			time.AfterFunc(time.Second, func() {
				close(sends.of("a"))
				close(sends.of("c"))
			})
		}, []string{"1 accepted a", "2 unavailable 503 b", "3 accepted c", "4 " + stopped}},
		{"with no place free", "wait=0", func(t *testing.T, s *commandServer, sends *gates, c *importClient) {
			s.holdBack()
			for i := range 4 {
				id := fmt.Sprint("taken", i)
				close(sends.of(id))
				s.wantTaken(t, id)
			}
			c.send(create("a", "1"))
		}, []string{"1 overloaded 503 a", "2 " + stopped}},
		{"with the window full", "wait=0", func(_ *testing.T, _ *commandServer, sends *gates, c *importClient) {
			// One is being answered, and one finds no room.
			for i := range importWindow + 2 {
				c.send(create(fmt.Sprint("c", i), "1"))
			}
			time.AfterFunc(time.Second, func() { close(sends.of("c0")) })
		}, windowful},
		{"at the end", "wait=20", func(_ *testing.T, s *commandServer, sends *gates, c *importClient) {
			close(sends.of("a"))
			s.holdBack()
			c.send(create("a", "1"))
			c.end()
		}, []string{"1 accepted a"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var sends gates
				s := newCommandServer(t, func(s *commandServer) {
					s.sending, s.gateway.Timeout, s.gateway.MaxUndecided = sends.pass, time.Hour, 4
				})
				c := startImport(t, dialInMemory(t, s), "Prefer", test.wait)
				c.readHead()
				test.run(t, s, &sends, c)
				synctest.Wait()
				start := time.Now()
				close(s.stopping)
				c.wantEnd(test.want...)
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("it took %v", took)
				}
				s.letGo()
			})
		})
	}
}

func TestImportStalls(t *testing.T) {
	for _, test := range []struct {
		name string
		send func(c *importClient)
	}{
		{"between lines", func(*importClient) {}},
		{"in a line", func(c *importClient) { c.raw("5\r\n{\"typ\r\n") }},
		{"in a chunk", func(c *importClient) { c.raw("500\r\n{\"typ") }},
		{"drop by drop", func(c *importClient) {
			for range 29 {
				c.raw("1\r\n{\r\n")
				time.Sleep(time.Second)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCommandServer(t, nil)
				c := startImport(t, dialInMemory(t, s))
				for i := range 3 { // each line has time of its own
					c.send(create(fmt.Sprint("c", i), "1"))
					c.want(fmt.Sprintf("%d accepted c%d", i+1, i))
					time.Sleep(importPatience - time.Second)
				}
				c.send("")
				start := time.Now()
				test.send(c)
				c.want("5 invalid-request 400")
				if took := time.Since(start); took != importPatience {
					t.Errorf("cut off after %v", took)
				}
				c.wantEnd()
				// What comes late is no new request on this connection.
				_, _ = io.WriteString(c.conn, "\r\nPOST /commands HTTP/1.1\r\nHost: x\r\n\r\n")
				if rest, err := io.ReadAll(c.in); len(rest) > 0 {
					t.Errorf("and then came %q, %v", rest, err)
				}
			})
		})
	}
}

// The window bounds what an import holds: a client that doesn't read its
// results is not read any further, and cut off in the end.
func TestImportThatIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=1")
		written := 0
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				line := padded(create(fmt.Sprint("c", written), fmt.Sprint(written)), maxBody/4) + "\n"
				if _, err := fmt.Fprintf(c.conn, "%x\r\n%s\r\n", len(line), line); err != nil {
					return
				}
				written++
			}
		}()
		synctest.Wait()
		// The window, a line at either end of it, and what fits into a buffer.
		if written < importWindow || written > importWindow+2+5 {
			t.Errorf("%d lines were read, want some %d", written, importWindow)
		}
		start := time.Now()
		<-ended
		if took := time.Since(start); took < importPatience || took > importPatience+importLinger {
			t.Errorf("cut off after %v", took)
		}
		synctest.Wait()
		if n := s.waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// A client that neither reads nor sends is cut off for the first it fails to
// do.
func TestImportThatDoesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.readHead()
		start := time.Now()
		c.send(create("a", "1"))
		time.Sleep(20 * time.Second)
		c.send(create("b", "1"))
		synctest.Wait()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if _, err := c.conn.Write([]byte("1")); err == nil {
			t.Errorf("it still reads after %v", time.Since(start))
		}
	})
}

// A client that goes leaves nothing behind, wherever its lines are.
func TestImportClientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sends gates
		s := newCommandServer(t, func(s *commandServer) { s.sending, s.gateway.Timeout = sends.pass, time.Minute })
		s.holdBack()
		c := startImport(t, dialInMemory(t, s), "Prefer", "wait=30")
		c.readHead()
		for i := range 100 {
			c.send(create(fmt.Sprint("c", i), fmt.Sprint(i%5)))
		}
		for i := range 50 {
			close(sends.of(fmt.Sprint("c", i)))
		}
		synctest.Wait()
		if n := s.waiting(); n != 100+55 {
			t.Errorf("%d wait, want each line, and the place of each that is sent", n)
		}
		_ = c.conn.Close()
		time.Sleep(time.Hour)
		s.letGo()
		synctest.Wait()
		if n := s.waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
		if n := len(s.sentIDs()); n != 50 {
			t.Errorf("sent %d commands, want 50", n)
		}
		for i := 50; i < 55; i++ {
			close(sends.of(fmt.Sprint("c", i)))
		}
	})
}

// Imports wait for places, and leave half of them to those who don't wait.
func TestImportLeavesPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(4))
		s.holdBack()
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"), create("b", "1"), create("c", "1"))
		c.end()
		c.want("1 accepted a", "2 accepted b")
		s.wantPlaces(t, 2)
		s.wantTaken(t, "d")
		s.wantTaken(t, "e")
		s.wantNotTaken(t, "f", "overloaded")
		s.letGo()
		c.wantEnd("3 accepted c")
		s.wantPlaces(t, 0)
		if n := len(s.gateway.imported); n != 0 {
			t.Errorf("%d of the places for imports are taken", n)
		}
	})
}

// It doesn't wait for ever.
func TestImportFindsNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(2))
		s.holdBack()
		start := time.Now()
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"), create("b", "1"), create("c", "1"))
		c.end()
		c.wantEnd("1 accepted a", "2 overloaded 503 b", "3 unavailable 503 c")
		if took := time.Since(start); took != importPatience {
			t.Errorf("it took %v", took)
		}
		s.letGo()
		s.wantPlaces(t, 0)
		if n := len(s.gateway.imported); n != 0 {
			t.Errorf("%d of the places for imports are taken", n)
		}
	})
}

// A client that asks before it sends (RFC 9110, section 10.1.1) is told to go
// on.
func TestImportExpectContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s), "Expect", "100-continue")
		c.readHead()
		if c.answer.StatusCode != http.StatusContinue || len(c.answer.Header) > 0 {
			t.Errorf("got %d %v", c.answer.StatusCode, c.answer.Header)
		}
		c.readHead()
		c.send(create("a", "1"))
		c.end()
		c.wantEnd("1 accepted a")
	})
}

// A body that is cut off, by a client that still reads.
func TestImportBodyCutOff(t *testing.T) {
	for _, test := range []struct{ name, length, body string }{
		{"in a line", "1000", create("a", "1") + "\n" + create("b", "1")},
		{"between lines", "1000", create("a", "1") + "\n"},
		{"in a chunk", "", "500\r\n" + create("a", "1") + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newCommandServer(t, nil)
			conn := dialTCP(t, s)
			var headers []string
			if test.length != "" {
				headers = []string{"Content-Length", test.length}
			}
			c := startImport(t, conn, headers...)
			c.raw(test.body)
			if err := conn.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			c.wantEnd("1 accepted a", "2 invalid-request 400")
			if got := fmt.Sprint(s.sentIDs()); got != "[a]" {
				t.Errorf("sent %s", got)
			}
		})
	}
}

// A client may close its sending side after a whole body, and gets everything.
func TestImportHalfClosed(t *testing.T) {
	s := newCommandServer(t, nil)
	s.holdBack()
	conn := dialTCP(t, s)
	c := startImport(t, conn, "Prefer", "wait=30")
	c.send(create("a", "1"), create("b", "1"))
	c.end()
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	c.readHead()
	s.letGo()
	c.wantEnd("1 succeeded a", "2 user-exists 409 b")
}

// A client that is cut off while it sends can go on for a while, and read why.
func TestImportCutOffWhileItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"))
		c.want("1 accepted a")
		close(s.stopping)
		var reading sync.WaitGroup
		reading.Go(func() { c.wantEnd("2 " + stopped) })
		for range 100 {
			c.send(create("b", "1"))
		}
		c.end()
		reading.Wait()
	})
}

// An answer that pauses for long ends as a whole one.
func TestImportEndsLongAfterItsLastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"))
		c.want("1 accepted a")
		for range 5 {
			time.Sleep(importPatience - time.Second)
			c.send("")
		}
		c.end()
		c.wantEnd()
	})
}

// Many lines over a real connection, through a real client.
func TestImportOfMany(t *testing.T) {
	s := newCommandServer(t, nil)
	server := httptest.NewServer(s)
	defer server.Close()
	const n, usersCount = 3000, 300
	body, lines := io.Pipe()
	go func() {
		for i := range n {
			_, _ = fmt.Fprintln(lines, commandOf("createUser", fmt.Sprint("c", i), fmt.Sprint(i%usersCount), "Ann"))
		}
		_ = lines.Close()
	}()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/commands", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-ndjson")
	r.Header.Set("Prefer", "wait=30")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	c := &importClient{t: t, answer: answer, out: json.NewDecoder(answer.Body)}
	for i := range n {
		status := "succeeded"
		if i >= usersCount {
			status = "user-exists 409"
		}
		c.want(fmt.Sprintf("%d %s c%d", i+1, status, i))
	}
	c.wantEnd()
	if n := s.waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// Within the limit, lines are what bytes.Split says; beyond it they are
// skipped, each on its own.
func FuzzReadLine(f *testing.F) {
	for _, body := range []string{"", "\n", "a", "a\nb", "a\r\n\r\nb\r", "\r\r\n", "\n\n\n", "a\r\rb\n\x00\xff\n"} {
		f.Add([]byte(body), uint16(0), uint16(0))
		f.Add([]byte(body), uint16(len(body)/2), uint16(maxBody/4))
		f.Add([]byte(body), uint16(len(body)), uint16(maxBody/4+1))
	}
	f.Fuzz(func(t *testing.T, body []byte, at, length uint16) {
		// A run in the middle brings lines to the limit: fuzzing alone would
		// not make them so long.
		i := int(at) % (len(body) + 1)
		body = slices.Concat(body[:i], bytes.Repeat([]byte("x"), 4*int(length)), body[i:])

		in := bufio.NewReaderSize(iotest.HalfReader(bytes.NewReader(body)), maxBody+len("\r\n"))
		for number, want := range bytes.Split(body, []byte("\n")) {
			want = bytes.TrimSuffix(want, []byte("\r"))
			text, long, err := readLine(in)
			if long != (len(want) > maxBody) || !long && !bytes.Equal(text, want) {
				t.Fatalf("line %d: got %d bytes, too long: %v; want %d bytes", number, len(text), long, len(want))
			}
			if last := number == bytes.Count(body, []byte("\n")); last != errors.Is(err, io.EOF) || !last && err != nil {
				t.Fatalf("line %d: %v", number, err)
			}
		}
	})
}
