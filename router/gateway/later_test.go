package gateway

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// A command for later has a 202 at once, whatever the client wants to wait, and
// its outcome once it is known. Another command with the id is refused.
func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the clock shows 2000-01-01
		s := newCommandServer(t, nil)
		body := func(name string) string {
			return fmt.Sprintf(`{"type":"createUser","id":"c1","payload":{"id":1,"name":%q},"notBefore":"2000-01-01T01:00:00+00:30"}`, name)
		}
		for range 2 { // also when it is sent again
			w, took := s.post(t, body("Ann"), "Prefer", "wait=20")
			wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
			wantApplied(t, w, "")
			if took != 0 {
				t.Errorf("answered after %v", took)
			}
			synctest.Wait()
		}
		w, _ := s.post(t, body("Ben"), "Prefer", "wait=20")
		wantAnswer(t, w, 422, reused)
		w, _ = s.post(t, commandOf("createUser", "c1", "1", "Ann"), "Prefer", "wait=20") // without notBefore
		wantAnswer(t, w, 422, reused)
		if n := len(s.sentIDs()); n != 1 {
			t.Errorf("sent %d commands", n)
		}
		if used := s.gateway.undecided.taken.Load(); used != 0 {
			t.Errorf("%d places are taken: a scheduled command needs none", used)
		}
		time.Sleep(31 * time.Minute)
		w, _ = s.post(t, body("Ann"), "Prefer", "wait=20")
		wantAnswer(t, w, 200, `{"id":"c1","type":"createUser","status":"succeeded","stream":"user/1","version":1,"position":"AQAC"}`)
	})
}

func TestCancelLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		scheduled := `{"type":"createUser","id":"c1","payload":{"id":1,"name":"Ann"},"notBefore":"2000-01-01T01:00:00Z"}`
		cancel := func(id string) string {
			return fmt.Sprintf(`{"type":"cancelScheduled","id":%q,"payload":{"stream":"user/1","commandId":"c1"}}`, id)
		}
		s.post(t, scheduled)
		w, _ := s.post(t, cancel("c2"), "Prefer", "wait=20")
		wantAnswer(t, w, 200, `{"id":"c2","type":"cancelScheduled","status":"succeeded","stream":"user/1","position":"AQAC"}`)
		w, _ = s.post(t, cancel("c3"), "Prefer", "wait=20")
		wantAnswer(t, w, 409, refusal(409, "not-scheduled", "the stream has no scheduled command with this id", "c3"))
		w, _ = s.post(t, scheduled, "Prefer", "wait=20")
		wantAnswer(t, w, 409, refusal(409, "command-cancelled", "the command was cancelled before its time", "c1"))
	})
}
