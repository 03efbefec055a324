package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// wantTaken sends a command, and fails unless the gateway takes the command.
func (s *commandServer) wantTaken(t *testing.T, id string) {
	t.Helper()
	if w, _ := s.post(t, commandOf("createUser", id, "1", "Ann")); w.Code != http.StatusAccepted {
		t.Errorf("command %s: got %d %s, want 202", id, w.Code, w.Body)
	}
}

// wantNotTaken asks for a command, and fails unless the answer is 503 at once
// for this reason.
func (s *commandServer) wantNotTaken(t *testing.T, id, slug string) {
	t.Helper()
	w, took := s.post(t, commandOf("createUser", id, "1", "Ann"), "Prefer", "wait=5")
	var title, detail string
	switch slug {
	case "overloaded":
		title, detail = "Overloaded", "too many commands are under way; send this one again, with this id"
	case "unavailable":
		title, detail = "Service unavailable", "it is not known whether the command was taken; it is safe to send it again with this id"
	}
	wantAnswer(t, w, 503, fmt.Sprintf(`{"type":"urn:millrace:problem:%s","title":%q,"status":503,"detail":%q,"id":%q}`, slug, title, detail, id))
	if w.Header().Get("Retry-After") != "1" || took != 0 {
		t.Errorf("command %s: Retry-After %q, after %v", id, w.Header().Get("Retry-After"), took)
	}
	wantApplied(t, w, "")
}

func (s *commandServer) wantUndecided(t *testing.T, undecided int) {
	t.Helper()
	synctest.Wait()
	if got := int(s.gateway.undecided.taken.Load()); got != undecided {
		t.Errorf("%d places are taken, want %d", got, undecided)
	}
	if n := s.states.Waiting(); n != undecided {
		t.Errorf("%d wait in the state store, want %d", n, undecided)
	}
}

func withMaxUndecided(n int) func(*commandServer) {
	return func(s *commandServer) { s.gateway.MaxUndecided = n }
}

func TestUndecidedCommandsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(3))
		for round := range 3 {
			s.holdBack()
			for i := range 3 {
				s.wantTaken(t, fmt.Sprintf("c%d-%d", round, i))
			}
			s.wantNotTaken(t, "one-more", "overloaded")
			s.wantUndecided(t, 3)
			if n := len(s.sentIDs()); n != 3*(round+1) {
				t.Errorf("sent %d commands, want %d", n, 3*(round+1))
			}
			s.release()
			s.wantUndecided(t, 0)
		}
	})
}

// A place is free again for any outcome: refused, parked, queued.
func TestAnyOutcomeReleasesTheSemaphore(t *testing.T) {
	withPanicUser(t)
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(1))
		for _, body := range []string{commandOf("renameUser", "a", "1", "Ann"), panicOne, commandOf("renameUser", "b", "1", "Ann")} {
			if w, _ := s.post(t, body); w.Code != 202 {
				t.Errorf("%s: got %d", body, w.Code)
			}
			s.wantUndecided(t, 0)
		}
	})
}

func TestRepeatedIDHoldsTheSemaphoreShortly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(1))
		s.wantTaken(t, "c1")
		s.wantUndecided(t, 0)
		s.holdBack()
		for range 3 { // sent again, for nobody waits, but decided already
			s.wantTaken(t, "c1")
			s.wantUndecided(t, 0)
		}
		s.wantTaken(t, "c2")
		s.wantNotTaken(t, "c3", "overloaded")
		if w, _ := s.post(t, commandOf("createUser", "c1", "1", "Ann"), "Prefer", "wait=5"); w.Code != 200 {
			t.Errorf("got %d for what is known, with no place free", w.Code)
		}
		s.release()
		s.wantUndecided(t, 0)
	})
}

// Two under way with the same id take a place each, and give both back.
func TestRepeatedIDUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(2))
		s.holdBack()
		s.wantTaken(t, "c1")
		s.wantTaken(t, "c1")
		s.wantNotTaken(t, "c1", "overloaded")
		s.release()
		s.wantUndecided(t, 0)
	})
}

func TestFailedSendReleasesTheSemaphore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(1))
		s.sending = func(c *eventlog.Envelope) error {
			if c.ID == "lost" {
				return errors.New("no brokers")
			}
			return nil
		}
		for range 3 {
			s.wantNotTaken(t, "lost", "unavailable")
			s.wantUndecided(t, 0)
		}
		s.wantTaken(t, "c1")
	})
}

// A send fails, but Kafka holds the command, and the command is decided
// already.
func TestFailedSendOfWhatIsDecided(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(1))
		s.gateway.Send = aside(func(c *eventlog.Envelope) error {
			_ = s.send(c)
			synctest.Wait()
			return errors.New("the ack was lost")
		})
		for range 2 {
			w, _ := s.post(t, create("a", "1"))
			if w.Code != 503 {
				t.Errorf("got %d", w.Code)
			}
			s.wantUndecided(t, 0)
		}
		if w, _ := s.post(t, create("a", "1"), "Prefer", "wait=1"); w.Code != 200 {
			t.Errorf("got %d for what is decided", w.Code)
		}
	})
}

// A send that was abandoned, and arrived all the same, gives its place back
// once.
func TestLateSendReleasesTheSemaphoreOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, withMaxUndecided(1))
		late := make(chan struct{})
		s.sending = func(c *eventlog.Envelope) error {
			if c.ID == "late" {
				<-late
			}
			return nil
		}
		if w, took := s.post(t, commandOf("createUser", "late", "1", "Ann")); w.Code != 503 || took != s.gateway.Timeout {
			t.Errorf("got %d after %v", w.Code, took)
		}
		s.wantUndecided(t, 0)
		s.holdBack()
		s.wantTaken(t, "c2")
		close(late)
		s.wantUndecided(t, 1)
		s.release()
		s.wantUndecided(t, 0)
	})
}

// Sends that hang keep the places of sends, and give the places of undecided
// commands back.
func TestHungSendsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hung := make(chan struct{})
		s := newCommandServer(t, func(s *commandServer) {
			s.gateway.MaxInFlight = 2
			s.sending = func(*eventlog.Envelope) error { <-hung; return nil }
		})
		var asking sync.WaitGroup
		for i := range 2 {
			asking.Go(func() {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, newPost(t.Context(), commandOf("createUser", fmt.Sprint("c", i), "1", "Ann")))
				if w.Code != 503 {
					t.Errorf("got %d", w.Code)
				}
			})
		}
		synctest.Wait()
		s.wantNotTaken(t, "c3", "overloaded")
		s.wantUndecided(t, 2)
		asking.Wait()
		s.wantUndecided(t, 0)
		s.wantNotTaken(t, "c3", "overloaded")
		close(hung)
		synctest.Wait()
		s.wantTaken(t, "c3")
		s.wantUndecided(t, 0)
	})
}

// Before Kafka is reached, there are no outcomes: a command has a place only
// until the end of the send, and a wait is not applied.
func TestWithoutAStateStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, func(s *commandServer) {
			s.gateway.MaxUndecided = 1
			s.gateway.States = noStates
		})
		for i := range 3 {
			w, took := s.post(t, commandOf("createUser", fmt.Sprint("c", i), "1", "Ann"), "Prefer", "wait=5")
			if w.Code != 202 || took != 0 {
				t.Errorf("got %d after %v", w.Code, took)
			}
			wantApplied(t, w, "")
			s.wantUndecided(t, 0)
		}
	})
}

// An outcome that comes before the bus has acknowledged the command is not
// missed.
func TestOutcomeBeforeTheSendReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		s.gateway.Timeout = time.Minute
		s.gateway.Send = aside(func(c *eventlog.Envelope) error {
			defer time.Sleep(10 * time.Second)
			return s.send(c)
		})
		if w, took := s.post(t, commandOf("createUser", "c1", "1", "Ann"), "Prefer", "wait=1"); w.Code != 200 || took != 10*time.Second {
			t.Errorf("got %d after %v", w.Code, took)
		}
		s.wantUndecided(t, 0)
	})
}
