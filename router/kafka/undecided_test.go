package kafka

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

func newFinder(t *testing.T, k *Kafka) *CommandFinder {
	t.Helper()
	f := k.CommandFinder(k.Group("command-service"))
	closing(t, f)
	return f
}

// Undecided finds commands at or behind the group's committed offset, and no
// others.
func TestUndecided(t *testing.T) {
	t.Parallel()
	const n = 4000 // more than one fetch
	k := newLog(t)
	stream := streamIn(1)
	bus := newCommandBus(t, k)
	sent := make(chan error, n)
	for i := range n {
		go func() {
			_, err := bus.Send(t.Context(), newCommand(stream, fmt.Sprint("c", i)))
			sent <- err
		}()
	}
	for range n {
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	var ids []string // in the order of the topic
	for _, m := range kafkaMessages(t, k, eventlog.TopicCommands, 1) {
		for _, h := range m.Headers {
			if string(h.Key) == eventlog.HeaderCommandID {
				ids = append(ids, string(h.Value))
			}
		}
	}
	f := newFinder(t, k)
	check := func(stream, id string, want bool) {
		t.Helper()
		if got, err := f.Undecided(t.Context(), stream, id); got != want || err != nil {
			t.Errorf("command %s of %s: %t, %v, want %t", id, stream, got, err, want)
		}
	}
	check(stream, ids[0], true)
	check(stream, ids[n-1], true)
	check(stream, "c", false)
	check(stream+"x", ids[0], false)
	check(streamIn(2), ids[0], false) // an empty partition
	for _, test := range []struct {
		committed int64
		first     int // the first command found
	}{{1500, 1500}, {n - 1, n - 1}, {n, n}, {n + 1, 0}} {
		commit(t, k, k.Group("command-service"), eventlog.TopicCommands, 1, test.committed)
		if test.first > 0 {
			check(stream, ids[test.first-1], false)
		}
		if test.first < n {
			check(stream, ids[test.first], true)
		}
	}

	appendAll(t, k, newRecords(3)...)
	if end, err := f.LogEnd(t.Context(), stream); err != nil || len(end) != 1 || end[1] != 3 {
		t.Errorf("the log ends at %v, %v, want offset 3 of partition 1", end, err)
	}
}

// Without a broker Undecided returns an error in time, and with the broker back
// an answer.
func TestUndecidedWhileTheBrokerIsAway(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	ask := func(f *CommandFinder) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := f.Undecided(ctx, streamIn(1), "c")
		return err
	}
	before := newFinder(t, e.Kafka)
	if err := ask(before); err != nil {
		t.Fatal(err)
	}
	e.stop(t)
	during := newFinder(t, e.Kafka)
	for _, f := range []*CommandFinder{before, during} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := f.Undecided(ctx, streamIn(1), "c"); err == nil {
			t.Error("an answer without a broker")
		}
		cancel()
	}
	e.start(t)
	for _, f := range []*CommandFinder{before, during} {
		eventually(t, "the broker is found again", func() bool { return ask(f) == nil })
	}
}

func TestClosedFinder(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	for _, connected := range []bool{false, true} {
		f := k.CommandFinder("group")
		if connected {
			if _, err := f.LogEnd(t.Context(), "user/1"); err != nil {
				t.Fatal(err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if _, err := f.LogEnd(t.Context(), "user/1"); err == nil {
			t.Errorf("connected %t: an answer after Close", connected)
		}
	}
}
