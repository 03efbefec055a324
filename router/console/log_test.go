package console

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// topic is a log in memory with two partitions.
type topic struct {
	mu        sync.Mutex
	followers map[int]func([]eventlog.Record)
	messages  map[int32][]RawRecord
	away      bool
}

func (c *topic) log() *Log {
	return &Log{Partitions: 2, Follow: c.follow, Newest: c.newest, At: c.at}
}

func (c *topic) follow(ctx context.Context, fn func([]eventlog.Record)) error {
	c.mu.Lock()
	if c.followers == nil {
		c.followers = map[int]func([]eventlog.Record){}
	}
	n := len(c.followers)
	c.followers[n] = fn
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.followers, n)
	return ctx.Err()
}

// append tells the followers of records, and returns the number of followers.
func (c *topic) append(records ...eventlog.Record) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fn := range c.followers {
		fn(records)
	}
	return len(c.followers)
}

func (c *topic) newest(_ context.Context, partition int32, n int) ([]RawRecord, error) {
	if c.away {
		return nil, errors.New("no broker")
	}
	of := c.messages[partition]
	return of[max(0, len(of)-n):], nil
}

func (c *topic) at(_ context.Context, partition int32, offset int64) (RawRecord, error) {
	if offset >= int64(len(c.messages[partition])) {
		return RawRecord{}, ErrNoRecord
	}
	return c.messages[partition][offset], nil
}

func record(n int, stream string) eventlog.Record {
	r := eventlog.Record{Offset: int64(n), Stream: stream, Type: "orderPlaced", Time: time.Unix(int64(n), 0), Seq: 1, Version: 1, CommandID: "c", Body: fmt.Appendf(nil, `{"n":%d}`, n)}
	r.Seal()
	return r
}

// A page gets at most 20 records in any second, and the number of the others.
func TestTailShowsAFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		who := &listener{filter: filter{stream: "order/"}}
		var shown []time.Time
		var counted, passed int64
		for n := range 3000 {
			stream := "order/1"
			if n%3 == 0 {
				stream = "other/1"
			}
			who.offer([]eventlog.Record{record(n, stream)}, time.Now())
			if n%100 == 0 {
				got, _ := who.flush()
				counted, passed = counted+got.Counted, passed+got.Passed
				for range got.Records {
					shown = append(shown, time.Now())
				}
			}
			time.Sleep(3 * time.Millisecond)
		}
		rest, _ := who.flush()
		counted, passed = counted+rest.Counted, passed+rest.Passed
		if all := int64(len(shown)+len(rest.Records)) + counted; all != 2000 || passed != 1000 {
			t.Errorf("%d of 2000 records are shown or counted, and %d of 1000 passed", all, passed)
		}
		if len(shown) < 9*shownPerSecond-shownPerSecond || len(shown) > 9*shownPerSecond+shownPerSecond {
			t.Errorf("%d records are shown in nine seconds", len(shown))
		}
	})
}

// The log is followed while a page listens, once for all pages.
func TestTailFollowsWhileSomebodyListens(t *testing.T) {
	t.Parallel()
	c := new(topic)
	stop := make(chan struct{})
	l := c.log()
	con := newConsole(l.Routes)
	con.Stopping = stop
	server := httptest.NewServer(con.handler())
	defer server.Close()
	listen := func(query string) (events *bufio.Reader, leave func()) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/log/events"+query, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r) //nolint:bodyclose // ends with the context
		if err != nil {
			t.Fatal(err)
		}
		return bufio.NewReader(answer.Body), cancel
	}
	if n := c.append(); n != 0 {
		t.Errorf("%d followers without a page", n)
	}
	all, leaveAll := listen("")
	some, leaveSome := listen("?stream=order/&contains=" + "n%22:2")
	within(t, "the log is followed", func() bool { return c.append() == 1 })
	within(t, "both listen", func() bool {
		l.tail.mu.Lock()
		defer l.tail.mu.Unlock()
		return len(l.tail.listeners) == 2
	})
	c.append(record(1, "order/1"), record(2, "order/2"), eventlog.Record{Offset: 3, Malformed: errors.New("<b>no</b> key")})
	if !has(t, all, `"problem":"\u003cb\u003eno\u003c/b\u003e key"`) || !has(t, some, `"stream":"order/2"`) {
		t.Error("the records are not shown")
	}
	leaveAll()
	leaveSome()
	within(t, "nobody follows", func() bool { return c.append() == 0 })
	last, leaveLast := listen("")
	defer leaveLast()
	within(t, "the log is followed again", func() bool { return c.append() == 1 })
	close(stop)
	for {
		if _, err := last.ReadString('\n'); err != nil {
			break
		}
	}
	within(t, "nobody follows after the stop", func() bool { return c.append() == 0 })
}

// within waits until a condition holds.
func within(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within half a minute: %s", what)
		}
	}
}

// has reads events until one has the text.
func has(t *testing.T, events *bufio.Reader, text string) bool {
	t.Helper()
	for {
		line, err := events.ReadString('\n')
		if err != nil {
			t.Errorf("the stream ends without %s: %v", text, err)
			return false
		}
		if strings.HasPrefix(line, "data: ") && strings.Contains(line, text) {
			return true
		}
	}
}

// messages are the messages of records in a partition.
func messages(partition int32, records ...eventlog.Record) (raw []RawRecord) {
	for i, r := range records {
		raw = append(raw, RawRecord{
			eventlog.RawMessage{Partition: partition, Offset: int64(i), Key: r.Stream, Headers: r.Headers(), Body: r.Body},
			time.UnixMilli(r.Time.UnixMilli() + 5),
		})
	}
	return raw
}

// stream is a stream in a partition of two.
func stream(t *testing.T, partition int32) string {
	t.Helper()
	for n := 0; ; n++ {
		if name := fmt.Sprintf("order/%d", n); eventlog.PartitionOf(name, 2) == partition {
			return name
		}
	}
}

func TestLogForScripts(t *testing.T) {
	t.Parallel()
	binary := RawRecord{eventlog.RawMessage{Partition: 1, Offset: 1, Key: "k\xff", Headers: []eventlog.Header{{Key: "<h>", Value: "\xfe"}}, Body: []byte("\x00\xff")}, time.Unix(9, 0)}
	c := &topic{messages: map[int32][]RawRecord{
		0: messages(0, record(1, stream(t, 0)), record(3, stream(t, 0))),
		1: append(messages(1, record(2, stream(t, 1))), binary),
	}}
	con := newConsole(c.log().Routes)
	get := func(path string, status int, into any) {
		t.Helper()
		w := ask(con, http.MethodGet, path, "")
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil || w.Code != status {
			t.Errorf("%s: %d %s %v", path, w.Code, w.Body, err)
		}
	}
	var list struct {
		Records []struct {
			Partition int32
			Offset    int64
			Problem   string
		}
	}
	get("/api/log?limit=3", http.StatusOK, &list)
	if got := fmt.Sprint(list.Records[0].Partition, list.Records[0].Offset, list.Records[1].Offset, list.Records[2].Partition); got != "1 1 1 1" || list.Records[0].Problem == "" {
		t.Errorf("the newest are %+v", list.Records)
	}
	get("/api/log?stream="+stream(t, 0)+"&type=orderPlaced&contains=%22n%22:3", http.StatusOK, &list)
	if len(list.Records) != 1 || list.Records[0].Offset != 1 {
		t.Errorf("picked are %+v", list.Records)
	}
	var message struct {
		Key, Text, BodyBase64, Digest string
		Headers                       []header
		Body                          json.RawMessage
	}
	get("/api/log/0/1", http.StatusOK, &message)
	want := record(3, stream(t, 0))
	if string(message.Body) != `{"n":3}` || len(message.Headers) != len(want.Headers()) || message.Digest != want.Digest.String() {
		t.Errorf("the message is %+v", message)
	}
	get("/api/log/1/1", http.StatusOK, &message)
	if message.BodyBase64 != "AP8=" || message.Headers[0].Key != "<h>" {
		t.Errorf("the message without text is %+v", message)
	}
	for path, status := range map[string]int{
		"/api/log?limit=0": 400, "/api/log?limit=501": 400, "/api/log?limit=x": 400,
		"/api/log/2/0": 404, "/api/log/0/7": 404, "/api/log/x/0": 404, "/api/log/0/-1": 404,
	} {
		if w := ask(con, http.MethodGet, path, ""); w.Code != status {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	c.away = true
	if w := ask(con, http.MethodGet, "/api/log", ""); w.Code != http.StatusServiceUnavailable {
		t.Errorf("without Kafka: %d", w.Code)
	}
}

// A list shows the beginning of a long body, and no half characters.
func TestBeginning(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		"short":                          "short",
		strings.Repeat("ä", 200):         strings.Repeat("ä", 150) + "…",
		"a" + strings.Repeat("ä", 200):   "a" + strings.Repeat("ä", 149) + "…",
		"\xff":                           "\uFFFD",
		strings.Repeat("x", shownBody+1): strings.Repeat("x", shownBody) + "…",
	} {
		if got := beginning([]byte(body)); got != want {
			t.Errorf("%q begins with %q", body, got)
		}
	}
}
