package service

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A check that is slow fails alone: the others have their own time, whatever
// their order.
func TestSlowCheckFailsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(health)
		release := make(chan struct{})
		h.add("deaf", func(context.Context) error { <-release; return nil })
		h.add("slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		h.add("quick", func(ctx context.Context) error { return ctx.Err() })
		h.add("not so quick", func(ctx context.Context) error { time.Sleep(checkTimeout - time.Millisecond); return ctx.Err() })
		began := time.Now()
		failing := h.check(t.Context())
		if took := time.Since(began); took != checkTimeout {
			t.Errorf("took %s, want %s", took, checkTimeout)
		}
		if len(failing) != 2 || failing["deaf"] == nil || failing["slow"] == nil {
			t.Errorf("failing: %v, want deaf and slow", failing)
		}
		for name, err := range failing {
			if err.Error() != "no answer within 2s" {
				t.Errorf("%s: %v", name, err)
			}
		}
		close(release)
	})
}

// The log says once for each state that the process is not ready, and why, and
// that the outage is over.
func TestSayReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return plainErrors(nil, a)
		}}))
		m := &Process{Log: log, health: new(health)}
		var kafkaAway, models atomic.Bool
		models.Store(true)
		m.health.add("kafka", func(context.Context) error {
			if kafkaAway.Load() {
				return errors.New("circuit breaker is open")
			}
			return nil
		})
		m.health.add("query-service", func(context.Context) error {
			if models.Load() {
				return errors.Join(errors.New("read model a: waiting"), errors.New("read model b: waiting"))
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); m.sayReady(ctx, time.Second) }()
		at := func(after time.Duration) { time.Sleep(after); synctest.Wait() }

		at(7 * time.Second)
		models.Store(false)
		at(time.Second)
		kafkaAway.Store(true) // for a moment only
		at(time.Second)
		kafkaAway.Store(false)
		at(time.Second)
		kafkaAway.Store(true)
		at(10 * time.Second)
		models.Store(true)
		at(10 * time.Second)
		kafkaAway.Store(false)
		models.Store(false)
		at(10 * time.Second)
		cancel()
		<-ended
		want := `level=INFO msg="not ready yet: query-service" "waiting for"="read model a: waiting; read model b: waiting"
level=INFO msg=ready after=7.02s
level=INFO msg="not ready: kafka" "waiting for"="kafka is away"
level=INFO msg="not ready: kafka, query-service" "waiting for"="kafka is away; read model a: waiting; read model b: waiting"
level=INFO msg="ready again" after=`
		if got := out.String(); !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 5 {
			t.Errorf("got:\n%s\nwant:\n%s…", got, want)
		}
	})
}

// lockedBuffer is a buffer that is safe to read while a log writes.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A process that was ready and waits for Kafka or the store is sound, and for a
// while after; a process that never was ready, or has no such excuse, isn't.
func TestWaitingIsSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := new(health)
		var away, failing error
		h.add("kafka", func(context.Context) error { return away })
		h.add("query-service", func(context.Context) error { return failing })
		look := func(what string, want bool) {
			t.Helper()
			if got := h.sound(h.check(t.Context())); got != want {
				t.Errorf("%s: sound %t", what, got)
			}
		}
		away = errors.New("away")
		look("at the start, without Kafka", false)
		away = nil
		look("ready", true)
		away, failing = errors.New("away"), errors.New("no partitions")
		time.Sleep(time.Hour)
		look("an hour without Kafka", true)
		away = nil
		time.Sleep(recovery / 2)
		look("back for a moment", true)
		time.Sleep(recovery)
		look("back for long", false)
		failing = nil
		look("ready again", true)
		h.stopping()
		look("stopping", false)
	})
}
