package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/router/eventlog"
)

// A golden file has a message as in Kafka: key, headers in order, an empty line,
// body. Another program wrote the files. A log never changes, so a difference is
// a bug.
func golden(t testing.TB, recordType string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", recordType+".golden"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// onTheWire returns a message in the form of a golden file.
func onTheWire(t *testing.T, msg *message.Message, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	out, err := recordToKafka("topic", msg)
	if err != nil {
		t.Fatal(err)
	}
	var form strings.Builder
	fmt.Fprintf(&form, "key: %s\n", out.Key)
	for _, h := range out.Headers {
		fmt.Fprintf(&form, "%s: %s\n", h.Key, h.Value)
	}
	fmt.Fprintf(&form, "\n%s\n", out.Value)
	return form.String()
}

// kafkaMessage reads the form of [onTheWire].
func kafkaMessage(form []byte) *sarama.ConsumerMessage {
	head, body, _ := bytes.Cut(form, []byte("\n\n"))
	m := &sarama.ConsumerMessage{Value: bytes.TrimSuffix(body, []byte("\n"))}
	for i, line := range bytes.Split(head, []byte("\n")) {
		name, value, _ := bytes.Cut(line, []byte(": "))
		if i == 0 {
			m.Key = value
			continue
		}
		m.Headers = append(m.Headers, &sarama.RecordHeader{Key: name, Value: value})
	}
	m.Partition = eventlog.PartitionOf(string(m.Key), partitions)
	return m
}

// partitions is the number of partitions in these tests.
const partitions = 6

// set changes, adds or, without values, removes a header; several values repeat
// the header.
func set(m *sarama.ConsumerMessage, key string, values ...string) {
	var headers []*sarama.RecordHeader
	for _, h := range m.Headers {
		if string(h.Key) != key {
			headers = append(headers, h)
		}
	}
	for _, value := range values {
		headers = append(headers, &sarama.RecordHeader{Key: []byte(key), Value: []byte(value)})
	}
	m.Headers = headers
}

// received returns a message as watermill-kafka gives the message to a handler.
func received(t *testing.T, m *sarama.ConsumerMessage) *message.Message {
	t.Helper()
	msg, err := messageUnmarshaler{}.Unmarshal(m)
	if err != nil {
		t.Fatal(err)
	}
	msg.SetContext(fromKafka{t.Context(), m})
	return msg
}

// fromKafka is a context with the values of watermill-kafka, whose keys are
// private.
type fromKafka struct {
	context.Context //nolint:containedctx // a decorator
	m               *sarama.ConsumerMessage
}

func (c fromKafka) Value(key any) any {
	switch fmt.Sprintf("%T %[1]d", key) {
	case "kafka.contextKey 1":
		return c.m.Partition
	case "kafka.contextKey 2":
		return c.m.Offset
	case "kafka.contextKey 4":
		return c.m.Key
	}
	return c.Context.Value(key)
}

func TestMessageWithoutASubject(t *testing.T) {
	if _, err := recordToKafka("topic", message.NewMessage("id", nil)); err == nil {
		t.Error("sent without a key: the stream would be in any partition")
	}
}

// A record read in bulk and the same record through Watermill are equal.
func TestSameRecordEitherWay(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	k := &Kafka{Brokers: cluster.ListenAddrs(), Partitions: partitions, Log: slog.New(slog.DiscardHandler)}

	plain := func() *sarama.ConsumerMessage { return kafkaMessage(golden(t, "userCreated")) }
	traced, repeated, repeatedElsewhere, notUTF8, bodiless, unchained := plain(), plain(), plain(), plain(), plain(), plain()
	set(traced, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	set(repeated, "ce_version", "1", "1")
	set(repeatedElsewhere, "traceparent", "a", "b")
	set(notUTF8, "ce_type", "user\xff")
	bodiless.Value = nil
	set(unchained, "ce_prev")
	sent := []*sarama.ConsumerMessage{plain(), traced, repeated, repeatedElsewhere, notUTF8, bodiless, unchained}

	producer, err := sarama.NewSyncProducer(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = producer.Close() }()
	for _, m := range sent {
		out := &sarama.ProducerMessage{Topic: "events", Key: sarama.ByteEncoder(m.Key)}
		if m.Value != nil {
			out.Value = sarama.ByteEncoder(m.Value)
		}
		for _, h := range m.Headers {
			out.Headers = append(out.Headers, *h)
		}
		if _, _, err := producer.SendMessage(out); err != nil {
			t.Fatal(err)
		}
	}

	consumer, err := sarama.NewConsumer(k.Brokers, k.sarama())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = consumer.Close() }()
	direct, err := consumer.ConsumePartition("events", eventlog.PartitionOf("user/1", partitions), sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = direct.Close() }()
	subscription := k.LogSubscription("group", newLogTail(t, k).Reader(newLogReader(t, k)), &assignee{}, time.Second)
	defer func() { _ = subscription.Close() }()
	messages, err := subscription.Subscribe(t.Context(), "events")
	if err != nil {
		t.Fatal(err)
	}
	var others []eventlog.Record
	for len(others) < len(sent) {
		msg := receive(t, messages, "what comes through Watermill")
		others = append(others, RecordsFromMessage(msg)...)
		msg.Ack()
	}

	sameError := cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })
	for i := range sent {
		one, other := eventlog.DecodeRecord(rawFromKafka(receive(t, direct.Messages(), "what comes straight from Kafka")), partitions), others[i]
		if one.Offset != int64(i) {
			t.Errorf("record %d has offset %d", i, one.Offset)
		}
		if malformed := sent[i] == repeated || sent[i] == notUTF8 || sent[i] == unchained; (one.Malformed != nil) != malformed {
			t.Errorf("record %d: malformed: %v", i, one.Malformed)
		}
		if one.Malformed != nil {
			one.Digest, other.Digest = eventlog.Digest{}, eventlog.Digest{} // a malformed record may differ here
		}
		if diff := cmp.Diff(one, other, sameError); diff != "" {
			t.Errorf("record %d (-straight +Watermill):\n%s", i, diff)
		}
	}
}
