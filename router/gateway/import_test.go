package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/eventlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
		want := `{"line":1,"id":"a","type":"createUser","status":"succeeded","stream":"user/1","version":1,"position":"AQAB"}` + "\n" +
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

// Sends end in any order, but sends of one stream in the order of the lines.
// Results come in the order of the lines.
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

// Results come while the body is still open, and don't wait for later lines.
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

// A wait begins when the line is sent, not after the waits of the lines before.
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
		}{{"1 accepted a", 6 * time.Second}, {"2 accepted b", 0}, {"3 accepted c", 4 * time.Second}, {"4 accepted d", 0}} {
			start := time.Now()
			c.want(want.result)
			if took := time.Since(start); took != want.after {
				t.Errorf("%s came after %v, want %v", want.result, took, want.after)
			}
		}
		s.release()
		c.end()
		c.wantEnd()
		synctest.Wait()
		if n := s.states.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// A client that has sent all its lines, and then waits for long, still gets its
// results.
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
		s.release()
	})
}

// After a line that perhaps was not taken, later lines of the stream are not
// sent: these would overtake the line. Other streams go on.
func TestImportSendFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, func(s *commandServer) {
			s.sending = func(c *eventlog.Envelope) error {
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

// A known outcome is told without another send, even if no place is free.
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
		s.release()
	})
}

// Imports wait for places, and leave half of the places to single commands.
func TestImportLeavesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(4))
		s.holdBack()
		c := startImport(t, dialInMemory(t, s))
		c.send(create("a", "1"), create("b", "1"), create("c", "1"))
		c.end()
		c.want("1 accepted a", "2 accepted b")
		s.wantUndecided(t, 2)
		s.wantTaken(t, "d")
		s.wantTaken(t, "e")
		s.wantNotTaken(t, "f", "overloaded")
		s.release()
		c.wantEnd("3 accepted c")
		s.wantUndecided(t, 0)
		if n := int(s.gateway.imported.taken.Load()); n != 0 {
			t.Errorf("%d of the places for imports are taken", n)
		}
	})
}

// An import doesn't wait for ever.
func TestImportFindsNoRoom(t *testing.T) {
	for _, test := range []struct {
		name        string
		taken       int // places taken by single commands
		first, want []string
	}{
		{"among those for imports", 0, []string{"1 accepted a"}, []string{"2 overloaded 503 b", "3 unavailable 503 c"}},
		{"at all", 2, nil, []string{"1 overloaded 503 a", "2 unavailable 503 b", "3 unavailable 503 c"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newCommandServer(t, withMaxUndecided(2))
				s.holdBack()
				for i := range test.taken {
					s.wantTaken(t, fmt.Sprint("taken", i))
				}
				c := startImport(t, dialInMemory(t, s))
				c.send(create("a", "1"), create("b", "1"), create("c", "1"))
				c.end()
				c.want(test.first...)
				start := time.Now()
				c.wantEnd(test.want...)
				if took := time.Since(start); took != importPatience {
					t.Errorf("it took %v", took)
				}
				if n := int(s.gateway.imported.taken.Load()); n != len(test.first) {
					t.Errorf("%d of the places for imports are taken, want %d", n, len(test.first))
				}
				s.release()
				s.wantUndecided(t, 0)
			})
		})
	}
}

// A client that asks before sending (RFC 9110, section 10.1.1) gets 100
// Continue.
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
	if n := s.states.Waiting(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}
