package gateway

import (
	"context"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// When the service stops, waits end, and known outcomes are told.
func TestStoppingEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		known := commandOf("createUser", "c0", "0", "Ann")
		s.post(t, known, "Prefer", "wait=5")
		s.holdBack()
		w := httptest.NewRecorder()
		answered := make(chan time.Duration)
		go func() {
			start := time.Now()
			s.ServeHTTP(w, newPost(t.Context(), commandOf("createUser", "c1", "1", "Ann"), "Prefer", "wait=20"))
			answered <- time.Since(start)
		}()
		time.Sleep(7 * time.Second)
		close(s.stopping)
		if took := <-answered; took != 7*time.Second {
			t.Errorf("answered after %v", took)
		}
		wantAnswer(t, w, 202, `{"id":"c1","type":"createUser","status":"accepted"}`)
		for range 20 { // chance must not decide
			w, _ = s.post(t, known, "Prefer", "wait=20")
			wantAnswer(t, w, 200, `{"id":"c0","type":"createUser","status":"succeeded","stream":"user/0","version":1,"position":"AQAB"}`)
		}
		s.release()
	})
}

// A client that closes its sending side looks like a client that leaves, and
// gets its answer: the wait goes on, and no longer than the client said.
func TestClientLeavesWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newCommandServer(t, nil)
		s.holdBack()
		ctx, leave := context.WithCancel(t.Context())
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			s.ServeHTTP(httptest.NewRecorder(), newPost(ctx, commandOf("createUser", "c1", "1", "Ann"), "Prefer", "wait=20"))
		}()
		synctest.Wait()
		start := time.Now()
		leave()
		<-answered
		if took := time.Since(start); took != 20*time.Second {
			t.Errorf("waited for %v, want 20s", took)
		}
		if n := s.states.Waiting(); n != 1 {
			t.Errorf("%d still wait, want the place that the command takes", n)
		}
		s.release()
		synctest.Wait()
		if n := s.states.Waiting(); n != 0 {
			t.Errorf("%d still wait for what is decided", n)
		}
	})
}
