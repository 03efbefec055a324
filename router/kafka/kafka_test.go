package kafka

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// Logs with different prefixes share a cluster. The names never change.
func TestNames(t *testing.T) {
	k := &Kafka{Prefix: "shop."}
	got := []string{
		k.Topic(eventlog.TopicCommands), k.Topic(eventlog.TopicEvents), k.Topic(eventlog.TopicDeadLetters),
		k.Group("command-service"), k.Group("query-service", "users"), (&Kafka{}).Group("command-service"),
	}
	want := []string{
		"shop.commands", "shop.events", "shop.dead-letters",
		"shop.millrace.command-service", "shop.millrace.query-service.users", "millrace.command-service",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		for _, try := range []int{0, 1, 2, 5, 6, 7, 1000} {
			began := time.Now()
			if err := Backoff(t.Context(), try); err != nil {
				t.Fatal(err)
			}
			waits = append(waits, time.Since(began))
		}
		const ms = time.Millisecond
		if diff := cmp.Diff([]time.Duration{100 * ms, 200 * ms, 400 * ms, 3200 * ms, 5000 * ms, 5000 * ms, 5000 * ms}, waits); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		ctx, cancel := context.WithTimeout(t.Context(), ms)
		defer cancel()
		if err := Backoff(ctx, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited beyond its context: %v", err)
		}
	})
}

// The error of stopped brokers is no ErrTopic, because waiting helps.
func TestBrokersAway(t *testing.T) {
	t.Parallel()
	calls := map[string]func(*Kafka, context.Context) error{
		"Ping":         (*Kafka).Ping,
		"EnsureTopics": func(k *Kafka, ctx context.Context) error { _, err := k.EnsureTopics(ctx); return err },
		"DropDeadLetters": func(k *Kafka, ctx context.Context) error {
			return k.DropDeadLetters(ctx, Place{})
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &Kafka{Brokers: []string{refusing}, Partitions: partitions, Replication: 1, Log: quiet}
			if err := call(k, t.Context()); err == nil || errors.Is(err, ErrTopic) {
				t.Errorf("nobody listens: %v", err)
			}
			// The client waits long for a broker that hangs, the caller does not.
			k.Brokers = []string{silent(t)}
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := call(k, ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a silent listener: %v", err)
			}
		})
	}
}

func TestOpenWhileBrokersAreAway(t *testing.T) {
	t.Parallel()
	k := &Kafka{Brokers: []string{refusing}, Partitions: partitions, Replication: 1, Log: quiet}
	for name, open := range map[string]func() error{
		"CommandBus":          func() error { _, err := k.CommandBus(""); return err },
		"DeadLetterPublisher": func() error { _, err := k.DeadLetterPublisher(); return err },
		"EventBus":            func() error { _, err := k.EventBus(); return err },
		"LogReader":           func() error { _, err := k.LogReader(); return err },
		"TrimCommands": func() error {
			_, err := k.TrimCommands(t.Context(), 0, time.Now(), func(eventlog.Envelope) bool { return true })
			return err
		},
		"ReadDeadLetters": func() error { return k.ReadDeadLetters(t.Context(), func(DeadLetter) error { return nil }) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := open(); err == nil || strings.Contains(err.Error(), "\n") {
				t.Errorf("nobody listens: %v", err)
			}
		})
	}
}

// refusing is an address without a listener: nobody uses tcpmux any more.
const refusing = "localhost:1"

// silent returns an address with a listener that never answers.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = conn.Close() })
		}
	}()
	return listener.Addr().String()
}
