package handlers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// When the service stops, nobody is kept waiting; what is known is told.
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
		s.letGo()
	})
}

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
		if took := time.Since(start); took != 0 {
			t.Errorf("waited on for %v", took)
		}
		if n := s.waiting(); n != 1 {
			t.Errorf("%d still wait, want the place that the command takes", n)
		}
		s.letGo()
		synctest.Wait()
		if n := s.waiting(); n != 0 {
			t.Errorf("%d still wait for what is decided", n)
		}
	})
}

// Thousands wait, and cost no goroutine and no timer: the fold tells them.
func TestThousandsWait(t *testing.T) {
	const n = 5000
	for _, test := range []struct {
		name     string
		commands int
	}{{"for a command each", n}, {"all for the same one", 1}} {
		t.Run(test.name, func(t *testing.T) {
			var tp topic
			var records []messaging.Record
			for i := range test.commands {
				c := tp.command("createUser", fmt.Sprint("u", i), "Ann", fmt.Sprint("c", i))
				records = append(records, decide(registry, new(stream), &c, &users.CreateUser{ID: users.ID(idOf(c.Stream)), Name: "Ann"}, messaging.CommandPosition{}))
				records[i].Offset = int64(i)
			}
			quiet := slog.New(slog.DiscardHandler)
			ledger := NewLedger(newFakeLog(), registry, 1, 128, quiet)
			p := ledger.partitions[0]
			goroutines := runtime.NumGoroutine()
			var watches []*Watch
			for i := range n {
				r := records[i%test.commands]
				watches = append(watches, ledger.Watch(r.Stream, r.CommandID))
			}
			if len(p.waiting) != test.commands {
				t.Errorf("%d commands are waited for, want %d", len(p.waiting), test.commands)
			}
			p.fold(records, quiet)
			if got := runtime.NumGoroutine(); got > goroutines {
				t.Errorf("%d goroutines more", got-goroutines)
			}
			for i, w := range watches {
				select {
				case o := <-w.C:
					if o.CommandID != records[i%test.commands].CommandID || o.Kind != Succeeded {
						t.Fatalf("waiter %d was told %+v", i, o)
					}
				default:
					t.Fatalf("waiter %d was not told", i)
				}
				if !w.Close() {
					t.Fatalf("waiter %d did not wait", i)
				}
			}
			if len(p.waiting) != 0 {
				t.Errorf("%d commands are still waited for", len(p.waiting))
			}
		})
	}
}
