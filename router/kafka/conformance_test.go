package kafka

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/embedded"
)

// The tests with a broker are one suite for two kinds of broker: the embedded
// broker, or the cluster in KAFKA_BROKERS. Each test has topics and groups of its
// own. Faults, kills and restarts need the embedded broker.

func TestMain(m *testing.M) {
	if dir := os.Getenv(envBrokerDir); dir != "" {
		brokerProcess(dir)
	}
	// The tests wait most of the time.
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	code := m.Run()
	if code == 0 {
		code = leaked()
	}
	os.Exit(code)
}

// leaked reports whether goroutines still run. sarama gives up messages to
// stopped brokers only after all retries.
func leaked() (code int) {
	ignore := []goleak.Option{
		// The clock of sarama's metrics: one per process, without an end.
		goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"),
		// sarama remembers for 10 s, even after Close, that a partition had no
		// leader.
		goleak.IgnoreAnyFunction("github.com/eapache/go-resiliency/breaker.(*Breaker).timer"),
	}
	var err error
	for began := time.Now(); time.Since(began) < patience; {
		if err = goleak.Find(ignore...); err == nil {
			return 0
		}
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}

var quiet = slog.New(slog.DiscardHandler)

// patience is the longest wait of a test for an expected message or state.
const patience = 30 * time.Second

// newKafka returns the settings of a test's log, without topics.
func newKafka(t *testing.T) *Kafka {
	t.Helper()
	brokers := os.Getenv("KAFKA_BROKERS")
	if brokers == "" {
		return newEmbedded(t).Kafka
	}
	k := &Kafka{Brokers: strings.Split(brokers, ","), Partitions: partitions, Replication: 1, Prefix: "test-" + uuid.NewString() + ".", Log: quiet}
	t.Cleanup(func() { deleteAll(t, k) })
	return k
}

// deleteAll deletes the topics and the groups of a test.
func deleteAll(t *testing.T, k *Kafka) {
	admin := newAdmin(t, k)
	topics, err := admin.ListTopics()
	if err != nil {
		t.Errorf("the topics of this test are still there: %v", err)
	}
	for topic := range topics {
		if strings.HasPrefix(topic, k.Prefix) {
			if err := admin.DeleteTopic(topic); err != nil {
				t.Errorf("topic %s is still there: %v", topic, err)
			}
		}
	}
	groups, err := admin.ListConsumerGroups()
	if err != nil {
		t.Errorf("the groups of this test are still there: %v", err)
	}
	for group := range groups {
		if strings.HasPrefix(group, k.Prefix) {
			if err := admin.DeleteConsumerGroup(group); err != nil {
				t.Errorf("group %s is still there: %v", group, err)
			}
		}
	}
}

// newLog returns the settings of a test's log, with topics.
func newLog(t *testing.T) *Kafka {
	t.Helper()
	k := newKafka(t)
	ensureTopics(t, k)
	return k
}

func ensureTopics(t *testing.T, k *Kafka) Topics {
	t.Helper()
	topics, err := k.EnsureTopics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return topics
}

// embeddedKafka is an embedded broker with stop and start.
type embeddedKafka struct {
	*Kafka
	broker *embedded.Broker
	dir    string
}

func newEmbedded(t *testing.T) *embeddedKafka {
	t.Helper()
	e := &embeddedKafka{dir: t.TempDir()}
	e.broker = startBroker(t, "localhost:0", e.dir)
	e.Kafka = &Kafka{Brokers: []string{e.broker.Addr()}, Partitions: partitions, Replication: 1, Log: quiet}
	t.Cleanup(func() { e.stop(t) })
	return e
}

func startBroker(t *testing.T, address, dir string) *embedded.Broker {
	t.Helper()
	broker, err := embedded.Start(address, dir, false, embedded.Security{}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return broker
}

func (e *embeddedKafka) stop(t *testing.T) {
	t.Helper()
	if err := e.broker.Close(); err != nil {
		t.Errorf("close the broker: %v", err)
	}
}

// start starts the broker again on the same address, as soon as no connection of
// another process has the port.
func (e *embeddedKafka) start(t *testing.T) {
	t.Helper()
	eventually(t, "the broker's port is free", func() bool {
		l, err := net.Listen("tcp", e.Brokers[0])
		if err != nil {
			return false
		}
		return l.Close() == nil
	})
	e.broker = startBroker(t, e.Brokers[0], e.dir)
}

func newAdmin(t *testing.T, k *Kafka) sarama.ClusterAdmin {
	t.Helper()
	admin, err := sarama.NewClusterAdmin(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	return admin
}

// closing closes c at the end of a test; an error fails the test.
func closing(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("close %T: %v", c, err)
		}
	})
}

// produce writes messages unchanged, and returns their places.
func produce(t *testing.T, k *Kafka, messages ...*sarama.ProducerMessage) (places []Place) {
	t.Helper()
	config := k.sarama()
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.MaxMessageBytes = 1 << 20 // another program's
	producer, err := sarama.NewSyncProducer(k.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	if err := producer.SendMessages(messages); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		places = append(places, Place{m.Partition, m.Offset})
	}
	return places
}

// kafkaMessages returns all messages of a topic's partition.
func kafkaMessages(t *testing.T, k *Kafka, topic string, partition int32) (messages []*sarama.ConsumerMessage) {
	t.Helper()
	r, err := k.reader(topic)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	end, err := r.End(t.Context(), partition)
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.start(t.Context(), partition)
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := r.consumer.ConsumePartition(r.topic, partition, first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = consumer.Close() }()
	for int64(len(messages)) < end-first {
		messages = append(messages, receive(t, consumer.Messages(), "messages of "+topic))
	}
	return messages
}

// forms returns messages as text, for a fast comparison.
func forms(messages []*sarama.ConsumerMessage) (all []string) {
	for _, m := range messages {
		var form strings.Builder
		fmt.Fprintf(&form, "%d/%d %v key %q", m.Partition, m.Offset, m.Timestamp.UTC(), m.Key)
		for _, h := range m.Headers {
			fmt.Fprintf(&form, " %q: %q", h.Key, h.Value)
		}
		fmt.Fprintf(&form, " %q", m.Value)
		all = append(all, form.String())
	}
	return all
}

// appendAll appends records, and returns when Kafka holds all records.
func appendAll(t *testing.T, k *Kafka, records ...*eventlog.Record) {
	t.Helper()
	bus, err := k.EventBus()
	if err != nil {
		t.Fatal(err)
	}
	delivered := make(chan error, len(records))
	for _, r := range records {
		bus.Append(r, func(err error) { delivered <- err })
	}
	for range records {
		if err := receive(t, delivered, "an append's result"); err != nil {
			t.Errorf("append: %v", err)
		}
	}
	if err := bus.Close(); err != nil {
		t.Errorf("close the event bus: %v", err)
	}
}

// receive waits for the next value of a channel.
func receive[T any](t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("waiting for %s: nothing came", what)
		return v
	}
}

// eventually repeats a check until the check succeeds.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("never: %s", what)
		}
	}
}
