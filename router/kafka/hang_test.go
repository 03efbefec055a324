package kafka

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/router/eventlog"
)

// hang stops all answers of the broker until the test ends.
func (e *embeddedKafka) hang(t *testing.T) {
	t.Helper()
	hung := make(chan struct{})
	var once sync.Once // the broker may have a second request at the test's end
	e.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(hung) })
		<-t.Context().Done()
		return nil, nil, false
	})
	receive(t, hung, "a fetch")
}

// Leaving a group and ending a read don't wait for a broker that hangs.
func TestLeavingAHungBroker(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	m := join(t, e.Kafka, eventlog.TopicCommands, &assignee{}, nil)
	messagesIn(t, e.Kafka, eventlog.TopicCommands, 1, 1)
	m.next(t)
	reader, err := e.LogReader()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	followed := make(chan error, 1)
	go func() { followed <- reader.Follow(ctx, 0, 0, func([]eventlog.Record) error { return nil }) }()
	e.hang(t)

	began := time.Now()
	cancel()
	if err := receive(t, followed, "the read to end"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = reader.Close() // maybe an error: gave up waiting
	m.leave(t)
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}
