package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

func commandOf(commandType, id, user, name string) string {
	return fmt.Sprintf(`{"type":%q,"id":%q,"payload":{"id":%s,"name":%q}}`, commandType, id, user, name)
}

// panicUser is a command whose decision panics.
type panicUser struct {
	ID users.ID `json:"id"`
}

func (panicUser) Type() string { return "panicUser" }

func (c panicUser) AggregateID() string { return string(c.ID) }

func (panicUser) Decide(users.User) (aggregate.Event[users.User], error) {
	panic("a fault in the rule")
}

const panicOne = `{"type":"panicUser","id":"p","payload":{"id":1}}`

func withPanicUser(t *testing.T) {
	t.Helper()
	withCommand(t, func() aggregate.Command[users.User] { return new(panicUser) })
}

// wantAnswer fails unless an answer has this status and body, to the byte, and
// the headers of such an answer.
func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, body string) {
	t.Helper()
	if w.Code != status {
		t.Errorf("got %d, want %d", w.Code, status)
	}
	if diff := cmp.Diff(body+"\n", w.Body.String()); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
	mediaType := "application/json"
	if status >= 400 {
		mediaType = "application/problem+json"
	}
	if got := w.Header().Get("Content-Type"); got != mediaType {
		t.Errorf("Content-Type %q, want %q", got, mediaType)
	}
	var answer struct{ Position string }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Error(err)
	}
	if got := w.Header().Get("Position"); got != answer.Position && status != 202 { // see TestAcceptedPositions
		t.Errorf("header Position %q, and in the body %q", got, answer.Position)
	}
}

func wantApplied(t *testing.T, w *httptest.ResponseRecorder, want string) {
	t.Helper()
	if got := w.Header().Get("Preference-Applied"); got != want {
		t.Errorf("Preference-Applied %q, want %q", got, want)
	}
}

func refusal(status int, slug, detail, id string) string {
	return fmt.Sprintf(`{"type":"urn:millrace:problem:%s","title":"Command refused","status":%d,"detail":%q,"id":%q}`, slug, status, detail, id)
}

const reused = `{"type":"urn:millrace:problem:command-id-reused","title":"Command id reused","status":422,` +
	`"detail":"this stream had another command with this id; that command stays as it is","id":"c1"}`

// A waited answer has the outcome, and the same outcome when the command comes
// again, without another send.
func TestWaitedAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		created := `{"id":"c1","type":"createUser","status":"succeeded","stream":"user/1","version":1,"position":"AQAB"}`
		notFound := refusal(404, "user-not-found", "there is no such user", "c5")
		steps := []struct {
			body   string
			status int
			want   string
		}{
			{commandOf("createUser", "c1", "1", "Ann"), 200, created},
			{commandOf("renameUser", "c2", "1", "Ann"), 200, `{"id":"c2","type":"renameUser","status":"succeeded","stream":"user/1","version":1,"position":"AQAC"}`},
			{commandOf("renameUser", "c3", "1", "Bea"), 200, `{"id":"c3","type":"renameUser","status":"succeeded","stream":"user/1","version":2,"position":"AQAD"}`},
			{commandOf("createUser", "c4", "1", "Ann"), 409, refusal(409, "user-exists", "the user exists already", "c4")},
			{commandOf("renameUser", "c5", "2", "Ann"), 404, notFound},
			{
				`{"type":"renameUser","id":"c6","payload":{"id":1,"name":"Cat"},"expectedVersion":1}`, 412,
				refusal(412, "version-mismatch", "the stream has version 2, not 1", "c6"),
			},
			{`{"type":"deactivateUser","id":"c7","payload":{"id":1}}`, 200, `{"id":"c7","type":"deactivateUser","status":"succeeded","stream":"user/1","version":3,"position":"AQAH"}`},
			{`{"type":"deactivateUser","id":"c8","payload":{"id":1}}`, 409, refusal(409, "user-already-inactive", "the user is inactive already", "c8")},
			{`{"type":"deleteUser","id":"c9","payload":{"id":1}}`, 200, `{"id":"c9","type":"deleteUser","status":"succeeded","stream":"user/1","version":4,"position":"AQAJ"}`},
			{commandOf("createUser", "c10", "1", "Ann"), 410, refusal(410, "user-deleted", "the user is deleted, and the id is never used again", "c10")},
			{commandOf("createUser", "c1", `"a b"`, "Ann"), 200, `{"id":"c1","type":"createUser","status":"succeeded","stream":"user/a b","version":1,"position":"AQAL"}`},

			// Again, long after: what followed changes nothing.
			{commandOf("createUser", "c1", "1", "Ann"), 200, created},
			{commandOf("createUser", "c1", `"1"`, " Ann "), 200, created}, // the same, in other words
			{commandOf("renameUser", "c5", "2", "Ann"), 404, notFound},
			{commandOf("createUser", "c1", "1", "Ben"), 422, reused},
			{commandOf("renameUser", "c1", "1", "Ann"), 422, reused},
			{`{"type":"createUser","id":"c1","payload":{"id":1,"name":"Ann"},"expectedVersion":0}`, 422, reused},
			{commandOf("createUser", "c1", "1", "Ann"), 200, created},
		}
		for _, step := range steps {
			w, took := s.post(t, step.body, "Prefer", "wait=5")
			t.Log(step.body)
			wantAnswer(t, w, step.status, step.want)
			wantApplied(t, w, "wait=5")
			if took != 0 {
				t.Errorf("answered after %v", took)
			}
		}
		if n := len(s.sentIDs()); n != 11 {
			t.Errorf("sent %d commands, want 11: those that came again are known", n)
		}
		synctest.Wait()
		if n := s.states.Waiting(); n != 0 {
			t.Errorf("%d still wait", n)
		}
	})
}

// The same id for something else while the first is under way.
func TestWaitedAnswersToOneIDAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		s.holdBack()
		first, other, again := httptest.NewRecorder(), httptest.NewRecorder(), httptest.NewRecorder()
		var asking sync.WaitGroup
		ask := func(w *httptest.ResponseRecorder, body string) {
			asking.Go(func() { s.ServeHTTP(w, newPost(t.Context(), body, "Prefer", "wait=5")) })
			synctest.Wait()
		}
		ask(first, commandOf("createUser", "c1", "1", "Ann"))
		ask(other, commandOf("createUser", "c1", "1", "Ben"))
		ask(again, commandOf("createUser", "c1", "1", "Ann"))
		s.release()
		asking.Wait()
		created := `{"id":"c1","type":"createUser","status":"succeeded","stream":"user/1","version":1,"position":"AQAB"}`
		wantAnswer(t, first, 200, created)
		wantAnswer(t, other, 422, reused)
		wantAnswer(t, again, 200, created)
	})
}

func TestAnswersWithoutWaiting(t *testing.T) {
	for _, prefer := range []string{"respond-async", "wait=0", "wait=soon", "wait=-1"} {
		synctest.Test(t, func(t *testing.T) {
			s := newCommandServer(t, nil)
			s.holdBack()
			w, took := s.post(t, commandOf("createUser", "c1", "1", "Ann"), "Prefer", prefer)
			wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
			if _, given := w.Header()["Preference-Applied"]; given || took != 0 {
				t.Errorf("Prefer: %s: answered after %v, Preference-Applied %q", prefer, took, w.Header()["Preference-Applied"])
			}
			s.release()
		})
	}
}

func TestUndecidedInTime(t *testing.T) {
	for _, test := range []struct {
		prefer, applied string
		wait            time.Duration
	}{
		{"wait=2", "wait=2", 2 * time.Second},
		{"wait=30", "wait=30", 30 * time.Second},
		{"wait=1000", "wait=30", 30 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newCommandServer(t, func(s *commandServer) { s.gateway.StatusURL = "http://localhost:3002" })
			s.holdBack()
			w, took := s.post(t, commandOf("createUser", "c1", "1", "Ann"), "Prefer", test.prefer)
			wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
			wantApplied(t, w, test.applied)
			if want := "http://localhost:3002/users/1/commands/c1"; w.Header().Get("Location") != want {
				t.Errorf("Location %q, want %q", w.Header().Get("Location"), want)
			}
			if took != test.wait {
				t.Errorf("Prefer: %s: answered after %v, want %v", test.prefer, took, test.wait)
			}
			s.release()
		})
	}
}

// The wait is for the outcome: how long the sending took doesn't count.
func TestWaitBeginsWhenSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, func(s *commandServer) {
			s.gateway.Timeout = time.Minute
			s.sending = func(*eventlog.Envelope) error { time.Sleep(10 * time.Second); return nil }
		})
		s.holdBack()
		if w, took := s.post(t, commandOf("createUser", "c1", "1", "Ann"), "Prefer", "wait=5"); w.Code != 202 || took != 15*time.Second {
			t.Errorf("got %d after %v, want 202 after 15s", w.Code, took)
		}
		s.release()
	})
}

func TestParkedAnswers(t *testing.T) {
	withPanicUser(t)
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		parked := `{"type":"urn:millrace:problem:command-parked","title":"Command parked","status":500,` +
			`"detail":"the command could not be decided, and waits for an operator","id":"p"}`
		for range 2 { // and again
			w, took := s.post(t, panicOne, "Prefer", "wait=5")
			wantAnswer(t, w, 500, parked)
			if took != 0 {
				t.Errorf("answered after %v", took)
			}
		}
		// Later commands of the stream are not decided, however often they come.
		queued := commandOf("createUser", "c1", "1", "Ann")
		for range 2 {
			w, took := s.post(t, queued, "Prefer", "wait=5")
			wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
			wantApplied(t, w, "wait=5")
			if took != 5*time.Second {
				t.Errorf("answered after %v", took)
			}
		}
		w, _ := s.post(t, commandOf("createUser", "c1", "1", "Ben"), "Prefer", "wait=5")
		wantAnswer(t, w, 422, reused)
		if got := fmt.Sprint(s.sentIDs()); got != "[p c1]" {
			t.Errorf("sent %s", got)
		}

		// The stream goes on while two clients wait, for a queued command and
		// for a new command.
		var waiting sync.WaitGroup
		before, behind := httptest.NewRecorder(), httptest.NewRecorder()
		waiting.Go(func() { s.ServeHTTP(before, newPost(t.Context(), queued, "Prefer", "wait=5")) })
		waiting.Go(func() {
			s.ServeHTTP(behind, newPost(t.Context(), commandOf("renameUser", "c2", "1", "Ben"), "Prefer", "wait=5"))
		})
		synctest.Wait()
		drop := eventlog.Envelope{ID: "d", Type: "dropParked", Stream: "user/1", Hash: "d", Body: []byte(`{"stream":"user/1","commandId":"p"}`)}
		if err := s.send(&drop); err != nil {
			t.Fatal(err)
		}
		waiting.Wait()
		wantAnswer(t, before, 200, `{"id":"c1","type":"createUser","status":"succeeded","stream":"user/1","version":1,"position":"AQAG"}`)
		wantAnswer(t, behind, 200, `{"id":"c2","type":"renameUser","status":"succeeded","stream":"user/1","version":2,"position":"AQAH"}`)
		w, _ = s.post(t, panicOne, "Prefer", "wait=5")
		wantAnswer(t, w, 409, refusal(409, "command-dropped", "an operator has dropped the command", "p"))
	})
}

// A 202 names the command in its Position header, because the place of the
// outcome is not known yet; or the outcome, if known.
func TestAcceptedPositions(t *testing.T) {
	place := eventlog.CommandPlace{Partition: 3, CommandPosition: eventlog.CommandPosition{TopicID: "topic", Offset: 7}}
	sent := func(id string) string {
		return eventlog.EncodeSentCommand(eventlog.SentCommand{Stream: "user/1", ID: id, CommandPlace: place})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, func(s *commandServer) {
			s.gateway.Send = func(c *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
				go func() { sent(place, s.send(c)) }()
			}
		})
		s.holdBack()
		create := commandOf("createUser", "c1", "1", "Ann")
		w, _ := s.post(t, create)
		wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
		if got := w.Header().Get("Position"); got != sent("c1") {
			t.Errorf("Position %q, want %q", got, sent("c1"))
		}
		s.release()
		synctest.Wait()
		w, _ = s.post(t, create)
		wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
		if got, want := w.Header().Get("Position"), "AQAB"; got != want {
			t.Errorf("Position of a command that is decided %q, want %q", got, want)
		}
		s.holdBack()
		c := startImport(t, dialInMemory(t, s))
		c.send(commandOf("renameUser", "c2", "1", "Bob"))
		c.end()
		c.readHead()
		got, err := io.ReadAll(c.answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := `{"line":1,"id":"c2","type":"renameUser","status":"accepted","position":"` + sent("c2") + `"}` + "\n"
		if string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
		s.release()
	})
}
