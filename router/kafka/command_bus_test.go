package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/router/eventlog"
)

func newCommandBus(t *testing.T, k *Kafka) *CommandBus {
	t.Helper()
	bus, err := k.CommandBus("topic-id")
	if err != nil {
		t.Fatal(err)
	}
	closing(t, bus)
	return bus
}

func send(t *testing.T, bus *CommandBus, c *eventlog.Envelope) error {
	t.Helper()
	_, err := bus.Send(t.Context(), c)
	return err
}

// A sent command is in topic commands at once, in the partition of the Java
// client.
func TestSendCommand(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	bus := newCommandBus(t, k)
	streams := []string{"1", "2", "9007199254740991", "alice@example.com", "Zoë", "日本", strings.Repeat("x", 128)}
	for i, stream := range streams {
		c := newCommand(stream, fmt.Sprintf("c-%d", i))
		c.Body = []byte(`"` + strings.Repeat("ë", 32<<10-1) + `"`) // 64 KiB
		place, err := bus.Send(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		messages := kafkaMessages(t, k, eventlog.TopicCommands, eventlog.PartitionOf(stream, partitions))
		if len(messages) == 0 {
			t.Fatalf("command %d is not there", i)
		}
		last := messages[len(messages)-1]
		got, err := eventlog.DecodeEnvelope(rawFromKafka(last), partitions)
		if err != nil {
			t.Fatal(err)
		}
		if want := (eventlog.CommandPlace{Partition: last.Partition, CommandPosition: eventlog.CommandPosition{TopicID: "topic-id", Offset: last.Offset}}); place != want {
			t.Errorf("command %d: returned place %+v, found at %+v", i, place, want)
		}
		if got.ID != c.ID || string(got.Body) != string(c.Body) || string(last.Key) != stream {
			t.Errorf("sent %s of stream %q (%d bytes), found %s of %q (%d bytes)", c.ID, stream, len(c.Body), got.ID, last.Key, len(got.Body))
		}
	}
}

// The bus refuses to send to a topic with another number of partitions than
// configured, because streams would be split over two partitions.
func TestSendRefusesOtherPartitions(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	createTopic(t, k, eventlog.TopicCommands, partitions+1, 1, nil)
	err := send(t, newCommandBus(t, k), newCommand("user/1", "c-1"))
	if err == nil || !strings.Contains(err.Error(), "has 7 partitions, and kafka.partitions is 6") {
		t.Errorf("sent to a topic with another number of partitions: %v", err)
	}

	k.Partitions++
	bus := newCommandBus(t, k)
	if err := send(t, bus, newCommand("user/1", "c-1")); err != nil {
		t.Fatal(err)
	}
	if err := newAdmin(t, k).CreatePartitions(k.Topic(eventlog.TopicCommands), partitions+2, nil, false); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the topic has grown", func() bool {
		err := send(t, newCommandBus(t, k), newCommand("user/1", "c-2"))
		return err != nil && strings.Contains(err.Error(), "has 8 partitions, and kafka.partitions is 7")
	})
}

// A producer notices a topic's new partitions at the next refresh of metadata:
// after a change of leader, and every 10 minutes.
func TestSendNoticesGrowth(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	bus := newCommandBus(t, e.Kafka)
	if err := send(t, bus, newCommand("user/1", "c-1")); err != nil {
		t.Fatal(err)
	}
	if err := newAdmin(t, e.Kafka).CreatePartitions(eventlog.TopicCommands, partitions+1, nil, false); err != nil {
		t.Fatal(err)
	}
	e.broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition})
	_ = send(t, bus, newCommand("user/1", "c-2")) // in the right partition, or not sent
	if err := send(t, bus, newCommand("user/1", "c-3")); err == nil || !strings.Contains(err.Error(), "has 7 partitions") {
		t.Errorf("sent to a topic that has grown: %v", err)
	}
}

// Publish never waits. Without a broker, Publish refuses a message beyond the
// limit.
func TestPostMoreThanCanBeUnderWay(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	bus := newCommandBus(t, e.Kafka)
	bus.publisher.most = 0
	if err := send(t, bus, newCommand("user/1", "c-1")); !errors.Is(err, errFull) {
		t.Errorf("sent one too many: %v", err)
	}
	bus.publisher.most = 1
	for range 2 { // a refused message takes no place
		if err := send(t, bus, newCommand("user/1", "c-2")); err != nil {
			t.Error(err)
		}
	}
}

// Close doesn't wait for a stopped broker, nor for a hanging broker.
func TestCloseIsBounded(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*testing.T, *embeddedKafka){
		"away": func(t *testing.T, e *embeddedKafka) { e.stop(t) },
		"hangs": func(t *testing.T, e *embeddedKafka) {
			e.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				<-t.Context().Done()
				return nil, nil, false
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEmbedded(t)
			ensureTopics(t, e.Kafka)
			bus, err := e.CommandBus("topic-id")
			if err != nil {
				t.Fatal(err)
			}
			if err := send(t, bus, newCommand("user/1", "c-1")); err != nil {
				t.Fatal(err)
			}
			lose(t, e)
			bus.publisher.patience = 50 * time.Millisecond
			told := make(chan error, 2)
			bus.Post(newCommand("user/1", "c-2"), func(_ eventlog.CommandPlace, err error) { told <- err })
			closed := make(chan error, 1)
			start := time.Now()
			go func() { closed <- bus.Close() }()
			if err := receive(t, closed, "the bus to close"); err == nil || time.Since(start) > 5*time.Second {
				t.Errorf("closed after %v: %v", time.Since(start), err)
			}
			if len(told) != 1 || !errors.Is(<-told, errClosed) {
				t.Error("a message under way has no callback, or more than one")
			}
		})
	}
}

func TestSendWithoutSubject(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	if err := newCommandBus(t, k).publisher.Publish(k.Topic(eventlog.TopicCommands), message.NewMessage("id", nil)); err == nil {
		t.Error("sent without a key: the stream would be in any partition")
	}
}

// Send without a broker returns an error, at the context's end at the latest.
func TestSendWhileBrokerIsAway(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	ensureTopics(t, e.Kafka)
	bus := newCommandBus(t, e.Kafka)
	if err := send(t, bus, newCommand("user/1", "c-1")); err != nil {
		t.Fatal(err)
	}
	e.stop(t)
	soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := bus.Send(soon, newCommand("user/1", "c-2")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("past its deadline: %v", err)
	}
	sent := make(chan error, 1)
	go func() { sent <- send(t, bus, newCommand("user/1", "c-2")) }()
	if err := receive(t, sent, "a word of what was sent to nobody"); err == nil {
		t.Error("sent to nobody")
	}
	e.start(t)
	eventually(t, "sent to a broker that is back", func() bool {
		return send(t, bus, newCommand("user/1", "c-3")) == nil
	})
	var found []string
	for _, m := range kafkaMessages(t, e.Kafka, eventlog.TopicCommands, eventlog.PartitionOf("user/1", partitions)) {
		c, err := eventlog.DecodeEnvelope(rawFromKafka(m), partitions)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, c.ID)
	}
	found = slices.DeleteFunc(found, func(id string) bool { return id == "c-2" }) // the log may have c-2 or not
	if diff := cmp.Diff([]string{"c-1", "c-3"}, found); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// Key, headers and body arrive byte for byte, even bytes that are no text.
func TestBytesComeThrough(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	sent := &sarama.ProducerMessage{
		Topic: k.Topic(eventlog.TopicEvents), Partition: 1, Key: sarama.ByteEncoder(all), Value: sarama.ByteEncoder(all),
		Timestamp: time.UnixMilli(1_700_000_000_123),
		Headers: []sarama.RecordHeader{
			{Key: []byte("any"), Value: all}, {Key: []byte("empty"), Value: []byte{}},
			{Key: []byte("twice"), Value: []byte("1")}, {Key: []byte("twice"), Value: []byte("2")},
		},
	}
	none := &sarama.ProducerMessage{Topic: k.Topic(eventlog.TopicEvents), Partition: 1, Timestamp: sent.Timestamp}
	produce(t, k, sent, none)
	want := []*sarama.ConsumerMessage{
		{Partition: 1, Offset: 0, Timestamp: sent.Timestamp, Key: all, Value: all},
		{Partition: 1, Offset: 1, Timestamp: sent.Timestamp},
	}
	for _, h := range sent.Headers {
		want[0].Headers = append(want[0].Headers, &h)
	}
	got := kafkaMessages(t, k, eventlog.TopicEvents, 1)
	if diff := cmp.Diff(forms(want), forms(got)); diff != "" {
		t.Errorf("(-sent +found):\n%s", diff)
	}
	if got[1].Key != nil || got[1].Value != nil {
		t.Errorf("no key and no value came through as %q and %q", got[1].Key, got[1].Value)
	}
}
