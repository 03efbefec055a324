package history

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}))
}

// serveChanges serves GET /changes of a read model, until stop is closed.
func serveChanges(t *testing.T, m *projectiontest.Model) (server *httptest.Server, stop chan struct{}) {
	t.Helper()
	stop = make(chan struct{})
	router := web.NewRouter()
	Model(orders.Registry).Routes(router, &query.Reader{Store: m.Store, Log: slog.New(slog.DiscardHandler), Stopping: stop})
	server = httptest.NewUnstartedServer(router)
	server.Config.ReadTimeout = time.Second // which is over while they follow
	server.Start()
	t.Cleanup(func() {
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return server, stop
}

// sse is a server-sent event.
type sse struct{ id, event, data string }

// listen reads events until each returns false, or the stream ends. The first
// has an id alone.
func listen(ctx context.Context, url, lastEventID string, each func(sse) bool) error {
	return listenTo(ctx, url+"/changes", lastEventID, each)
}

func listenTo(ctx context.Context, target, lastEventID string, each func(sse) bool) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return err
	}
	if lastEventID != "" {
		r.Header.Set("Last-Event-ID", lastEventID)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if got := answer.Header.Get("Content-Type"); answer.StatusCode != 200 || got != "text/event-stream" {
		return fmt.Errorf("%d, %s", answer.StatusCode, got)
	}
	var event sse
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		switch field, value, _ := strings.Cut(lines.Text(), ": "); field {
		case "id":
			event.id = value
		case "event":
			event.event = value
		case "data":
			event.data = value
		case "":
			if event.id != "" && !each(event) {
				return nil
			}
			event = sse{}
		}
	}
	return lines.Err()
}

func TestChanges(t *testing.T) {
	m, log := projectiontest.Open(t, Projection, orders.Types...), some()
	m.Fold(log)
	server, stop := serveChanges(t, m)
	var all []string
	ids := map[string]string{} // by what came with them
	from := "AQ"               // the beginning
	err := listen(t.Context(), server.URL, from, func(e sse) bool {
		if e.event != "" {
			all = append(all, e.event+" "+e.data)
			ids[e.data] = e.id
		}
		return len(all) < 7
	})
	want := []string{
		`orderPlaced {"stream":"order/1","version":1,"type":"orderPlaced","time":"2026-01-02T12:00:00.045Z","data":{"id":"1","name":"Alice"},"commandId":"c-1"}`,
		`orderPlaced {"stream":"order/a/b","version":1,"type":"orderPlaced","time":"2026-01-02T12:00:01.045Z","data":{"id":"a/b","name":"\u003cÄrger\u003e"},"commandId":"c-2"}`,
		`orderRenamed {"stream":"order/1","version":2,"type":"orderRenamed","time":"2026-01-02T12:00:04.045Z","data":{"id":"1","name":"Alison","addedByANewerBinary":true},"commandId":"c-5"}`,
		`orderRenamed {"stream":"order/1","version":3,"type":"orderRenamed","time":"2026-01-02T12:00:06.045Z","data":{"id":"1","name":"\u003cAl\u003e"},"commandId":"c-7"}`,
		`orderCancelled {"stream":"order/a/b","version":2,"type":"orderCancelled","time":"2026-01-02T12:00:07.045Z","data":{"id":"a/b"},"commandId":"c-8"}`,
		`parcelSent {"stream":"parcel/1","version":1,"type":"parcelSent","time":"2026-01-02T12:00:09.045Z","data":{"id":"1"},"commandId":"c-10"}`,
		`orderPlaced {"stream":"order/stale","version":1,"type":"orderPlaced","time":"2026-01-02T12:00:10.045Z","data":{"id":"stale","name":"` + "\uFFFD" + `"},"commandId":"c-11"}`,
	}
	sorted := cmp.Transformer("sorted", func(list []string) map[string]int { // partitions come in any order
		set := map[string]int{}
		for _, s := range list {
			set[s]++
		}
		return set
	})
	if diff := cmp.Diff(want, all, sorted); diff != "" || err != nil {
		t.Errorf("(-want +got):\n%s\n%v", diff, err)
	}

	// From now on: no old change, and the end when the service stops.
	began := make(chan struct{})
	var later []string
	var listening sync.WaitGroup
	listening.Go(func() {
		err = listen(t.Context(), server.URL, "", func(e sse) bool {
			if e.event == "" {
				close(began)
			} else {
				later = append(later, e.event)
				close(stop)
			}
			return true
		})
	})
	<-began
	log.Add("orderRenamed", "order/1", `{"id":"1","name":"Al"}`)
	m.Fold(log)
	listening.Wait()
	if fmt.Sprint(later) != "[orderRenamed]" || err != nil {
		t.Errorf("from now on: %s, %v", later, err)
	}
}

// A page can say where to begin in the address alone. The header of a browser
// that comes again is newer, and wins.
func TestChangesAfter(t *testing.T) {
	m, log := projectiontest.Open(t, Projection, orders.Types...), some()
	m.Fold(log)
	server, _ := serveChanges(t, m)
	first := func(query, lastEventID string) (id string, changes int) {
		t.Helper()
		ctx, leave := context.WithTimeout(t.Context(), time.Minute)
		defer leave()
		err := listenTo(ctx, server.URL+"/changes?"+query, lastEventID, func(e sse) bool {
			if id == "" {
				id = e.id
				return !strings.HasSuffix(query, eventlog.EncodePosition(log.Position())) && lastEventID == ""
			}
			changes++
			return changes < 5
		})
		if err != nil {
			t.Error(err)
		}
		return id, changes
	}
	end := eventlog.EncodePosition(log.Position())
	if id, changes := first("of=orders&after=AQ", ""); id != "AQ" || changes != 5 {
		t.Errorf("from the beginning: id %s, %d changes", id, changes)
	}
	if id, _ := first("after="+end, ""); id != end {
		t.Errorf("from the end: id %s, want %s", id, end)
	}
	if id, _ := first("after=AQ", end); id != end {
		t.Errorf("the header wins: id %s, want %s", id, end)
	}
}

// withoutRetry is a stream without the pause in the first event: 1 to 3 s.
func withoutRetry(t *testing.T, text string) string {
	t.Helper()
	retry, rest, _ := strings.Cut(text, "\n")
	if !regexp.MustCompile(`^retry: [12]\d{3}$`).MatchString(retry) {
		t.Errorf("the stream begins with %q", retry)
	}
	return rest
}

func TestChangesRefuses(t *testing.T) {
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(some())
	c := m.Client(t, Model(orders.Registry).Routes)
	for _, test := range []struct{ target, id, want string }{
		{"/changes", "nonsense", `"parameter":"Last-Event-ID"`},
		{"/changes", "", `"parameter":"Last-Event-ID"`},
		{"/changes?after=nonsense", "AQ", `"parameter":"after"`},
		{"/changes?after=", "AQ", `"parameter":"after"`},
		{"/changes?after=AQ&after=AQ", "AQ", `{"parameter":"after","detail":"must be given once"}`},
		{"/changes?since=1", "AQ", `"parameter":"since"`},
		{"/changes?of=planets", "AQ", `{"parameter":"of","detail":"must be one of: orders, parcels"}`},
		{"/changes?of=order", "AQ", `{"parameter":"of","detail":"must be one of: orders, parcels"}`},
		{"/changes?of=", "AQ", `{"parameter":"of","detail":"must be one of: orders, parcels"}`},
		{"/changes?of=orders&of=parcels", "AQ", `{"parameter":"of","detail":"must be given once"}`},
	} {
		if got := c.Ask(http.MethodGet, test.target, "Last-Event-ID", test.id); got.Status != 400 || !strings.Contains(got.Body, test.want) {
			t.Errorf("%s after %q: %d %s", test.target, test.id, got.Status, got.Body)
		}
	}
	if got := c.Ask(http.MethodHead, "/changes"); got.Status != 200 || got.Body != "" {
		t.Errorf("HEAD: %d %s", got.Status, got.Body)
	}
}

// Clients whose connections break all the time, and who continue after the last
// id, get all changes of each stream, in order, and no change twice.
func TestChangesAfterBrokenConnections(t *testing.T) {
	const streams, rounds, clients = 20, 60, 4
	m, log := projectiontest.Open(t, Projection, orders.Types...), new(projectiontest.Log)
	for i := range streams {
		log.Add("orderPlaced", fmt.Sprint("order/", i), fmt.Sprintf(`{"id":"%d","name":"n"}`, i))
	}
	m.Fold(log)
	server, _ := serveChanges(t, m)
	var listening sync.WaitGroup
	for n := range clients {
		listening.Go(func() {
			luck := rand.New(rand.NewPCG(uint64(n), 1))
			versions, got, last := map[string]int{}, 0, "AQ"
			for got < streams*(rounds+1) {
				until := got + luck.IntN(100)
				err := listen(t.Context(), server.URL, last, func(e sse) bool {
					last = e.id
					if e.event == "" {
						return true
					}
					var change struct {
						Stream  string
						Version int
					}
					if err := json.Unmarshal([]byte(e.data), &change); err != nil {
						t.Error(err)
					}
					versions[change.Stream]++
					if want := versions[change.Stream]; want != change.Version {
						t.Errorf("client %d got version %d of %s, and not %d", n, change.Version, change.Stream, want)
						return false
					}
					got++
					return got < until && got < streams*(rounds+1)
				})
				if err != nil {
					t.Error(err)
				}
				if t.Failed() {
					return
				}
			}
		})
	}
	for i := range rounds {
		for j := range streams {
			log.Add("orderRenamed", fmt.Sprint("order/", j), fmt.Sprintf(`{"id":"%d","name":"n%d"}`, j, i))
		}
		m.Fold(log)
	}
	listening.Wait()
}

// A client that doesn't read is cut off, delays no other client, and continues
// later.
func TestASlowClientIsCutOff(t *testing.T) {
	const many, maxBehind = 2000, 1000 // and the sockets hold little
	m, log := projectiontest.Open(t, Projection, orders.Types...), new(projectiontest.Log)
	log.Add("orderPlaced", "order/1", `{"id":"1","name":"n"}`)
	m.Fold(log)
	rd := &query.Reader{Store: m.Store, Log: slog.New(slog.DiscardHandler)}
	router := web.NewRouter()
	rd.Get(router, "/changes", changes{queries{rd, orders.Registry}, &feed{Reader: rd, registry: orders.Registry, maxBehind: maxBehind}}.serve)
	server := httptest.NewUnstartedServer(router)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if err := tcp(c).SetWriteBuffer(4096); err != nil {
			t.Error(err)
		}
		return ctx
	}
	server.Start()
	defer server.Close()
	slow, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slow.Close() }()
	if err := tcp(slow).SetReadBuffer(4096); err != nil {
		t.Error(err)
	}
	fmt.Fprint(slow, "GET /changes HTTP/1.1\r\nHost: x\r\nLast-Event-ID: AQ\r\n\r\n")
	reader := bufio.NewReader(slow)
	for line := ""; !strings.HasPrefix(line, "data: "); { // it follows now
		if line, err = reader.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	began, got, events := make(chan struct{}), 0, make(chan int, many)
	var listening sync.WaitGroup
	listening.Go(func() {
		defer close(events)
		err := listen(t.Context(), server.URL, "", func(e sse) bool {
			if e.event == "" {
				close(began)
				return true
			}
			got++
			events <- got
			return got < many
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-began
	long := strings.Repeat("n", 200)
	for i := range many {
		log.Add("orderRenamed", "order/1", fmt.Sprintf(`{"id":"1","name":"%s%d"}`, long[:190], i))
		if i%100 == 99 {
			m.Fold(log)
			for n := range events { // the other client isn't slow, even on a busy machine
				if n == i+1 {
					break
				}
			}
		}
	}
	listening.Wait()
	if got != many {
		t.Errorf("the other client got %d of %d", got, many)
	}
	// The bytes in the sockets come, and then the end.
	n := 0
	for n < many {
		_ = slow.SetReadDeadline(time.Now().Add(20 * time.Second)) // for each line: small windows are slow
		line, err := reader.ReadString('\n')
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // as it comes
				t.Error("it was not cut off")
			}
			break
		}
		if strings.HasPrefix(line, "data: ") {
			n++
		}
	}
	if n >= many {
		t.Errorf("it got all %d", n)
	}
}

func tcp(c net.Conn) *net.TCPConn {
	conn, _ := c.(*net.TCPConn)
	return conn
}

// patientWriter is a connection whose client reads at once.
type patientWriter struct {
	*httptest.ResponseRecorder
}

func (patientWriter) SetWriteDeadline(time.Time) error { return nil }
func (patientWriter) SetReadDeadline(time.Time) error  { return nil }

func TestHeartbeats(t *testing.T) {
	m := projectiontest.Open(t, Projection, orders.Types...)
	m.Fold(new(projectiontest.Log))
	synctest.Test(t, func(t *testing.T) {
		router := web.NewRouter()
		Model(orders.Registry).Routes(router, &query.Reader{Store: m.Store, Log: slog.New(slog.DiscardHandler)})
		ctx, leave := context.WithTimeout(t.Context(), 50*time.Second)
		defer leave()
		w := patientWriter{httptest.NewRecorder()}
		router.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/changes", http.NoBody))
		if got, want := withoutRetry(t, w.Body.String()), "id: AQ\n\n"+strings.Repeat(": alive\n\n", 3); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(time.Second) // until nobody polls any more
	})
}
