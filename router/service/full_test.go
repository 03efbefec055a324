package service

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// fullSize says whether tests run at full size, which takes an hour: with FULL=1
// in the environment.
func fullSize() bool { return os.Getenv("FULL") != "" }

// size is a number for each day, or at full size.
func size[T any](daily, full T) T {
	if fullSize() {
		return full
	}
	return daily
}

// longLog is how many events a long log has: $EVENTS, or a million.
func longLog(t *testing.T) int {
	t.Helper()
	if os.Getenv("EVENTS") == "" {
		return 1_000_000
	}
	n, err := strconv.Atoi(os.Getenv("EVENTS"))
	if err != nil {
		t.Fatal("EVENTS is not a number:", err)
	}
	return n
}

// fill appends so many events to the log, of users whose ids are texts: each is
// created, and renamed three times when all others have been.
func (s *stack) fill(events int) {
	s.t.Helper()
	const partitions, eventsAUser = 12, 4
	k := &kafka.Kafka{
		Brokers: s.brokers(), Partitions: partitions, Replication: 1, Prefix: s.shared["kafka.topic_prefix"],
		Log: slog.New(slog.DiscardHandler),
	}
	if _, err := k.EnsureTopics(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	bus, err := k.EventBus()
	if err != nil {
		s.t.Fatal(err)
	}
	heads := make([]eventlog.Head, events/eventsAUser)
	var failed error
	var mu sync.Mutex
	var appends sync.WaitGroup
	for n := range eventsAUser * len(heads) {
		i := n % len(heads)
		id, kind := fmt.Sprint("u", i), "userRenamed"
		stream := userStream(users.ID(id))
		if n < len(heads) {
			kind = "userCreated"
		}
		r := &eventlog.Record{
			Type: kind, Stream: stream, Seq: heads[i].Seq + 1, Prev: heads[i].Digest, Version: heads[i].Version + 1,
			Time: time.Now(), CommandID: fmt.Sprint("c", n), CommandHash: "of no use here",
			CommandPosition: eventlog.CommandPosition{TopicID: "of-another-topic", Offset: int64(n)},
			Partition:       eventlog.PartitionOf(stream, partitions),
			Body:            fmt.Appendf(nil, `{"id":%q,"name":"Name %d"}`, id, n),
		}
		r.Seal()
		heads[i] = eventlog.Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}
		appends.Add(1)
		bus.Append(r, func(err error) {
			mu.Lock()
			failed = errors.Join(failed, err)
			mu.Unlock()
			appends.Done()
		})
	}
	appends.Wait()
	if err := errors.Join(failed, bus.Close()); err != nil {
		s.t.Fatal(err)
	}
}
