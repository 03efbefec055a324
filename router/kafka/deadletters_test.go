package kafka

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// deadLetters returns all dead letters, ordered by partition.
func deadLetters(t *testing.T, k *Kafka) (all []DeadLetter) {
	t.Helper()
	err := k.ReadDeadLetters(t.Context(), func(d DeadLetter) error {
		all = append(all, d)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// bury is a handler of topic commands that publishes each message to the dead
// letters, as the command handlers do.
func bury(t *testing.T, k *Kafka, messages ...*sarama.ProducerMessage) {
	t.Helper()
	for _, m := range messages {
		m.Topic = k.Topic(eventlog.TopicCommands)
	}
	earlier := 0
	for partition := range int32(partitions) {
		earlier += len(kafkaMessages(t, k, eventlog.TopicCommands, partition))
	}
	produce(t, k, messages...)
	publisher, err := k.DeadLetterPublisher()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = publisher.Close() }()
	poison, err := middleware.PoisonQueue(publisher, k.Topic(eventlog.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	m := join(t, k, eventlog.TopicCommands, &assignee{}, nil, poison, func(message.HandlerFunc) message.HandlerFunc {
		return func(*message.Message) ([]*message.Message, error) { return nil, errors.New("it can't be decoded") }
	})
	eventually(t, "buried", func() bool { return len(deadLetters(t, k)) == earlier+len(messages) })
	m.leave(t)
}

// A dead letter has the whole message, the reason, and the message's former
// place.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	if none := deadLetters(t, k); len(none) != 0 {
		t.Errorf("there are dead letters already: %v", none)
	}
	binary := string([]byte{0, 1, 0xff, '\n'})
	// With the additional headers, more than the defaults of producer and broker.
	large := strings.Repeat("x", 1_048_400)
	began := time.Now().Add(-time.Minute)
	bury(t, k,
		&sarama.ProducerMessage{
			Partition: 2, Key: sarama.StringEncoder(binary), Value: sarama.StringEncoder(binary),
			Headers: []sarama.RecordHeader{
				{Key: []byte("ce_type"), Value: []byte("renameUser")}, {Key: []byte("any"), Value: []byte(binary)},
			},
		},
		&sarama.ProducerMessage{Partition: 2},
		&sarama.ProducerMessage{Partition: 3, Key: sarama.StringEncoder("large"), Value: sarama.StringEncoder(large)},
	)
	want := map[string]DeadLetter{}
	for _, d := range []DeadLetter{
		{Key: binary, Headers: map[string]string{"ce_type": "renameUser", "any": binary}, Body: []byte(binary), From: k.Topic(eventlog.TopicCommands) + " 2/0"},
		{Key: "no key", Headers: map[string]string{}, From: k.Topic(eventlog.TopicCommands) + " 2/1"},
		{Key: "large", Headers: map[string]string{}, Body: []byte(large), From: k.Topic(eventlog.TopicCommands) + " 3/0"},
	} {
		d.Reason = "it can't be decoded"
		want[d.From] = d
	}
	got := map[string]DeadLetter{}
	for _, d := range deadLetters(t, k) {
		if d.Time.Before(began) {
			t.Errorf("%s came at %v", d.From, d.Time)
		}
		if d.Partition != eventlog.PartitionOf(d.Key, partitions) {
			t.Errorf("%s lies in partition %d", d.From, d.Partition)
		}
		d.Time, d.Place = time.Time{}, Place{}
		if len(d.Body) == 0 {
			d.Body = nil
		}
		got[d.From] = d
	}
	for from := range want {
		if string(got[from].Body) != string(want[from].Body) {
			t.Errorf("%s: %d bytes, want %d", from, len(got[from].Body), len(want[from].Body))
		}
		w, g := want[from], got[from]
		w.Body, g.Body = nil, nil
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// ReadDeadLetters stops at the callback's error. DropDeadLetters deletes a
// partition's dead letters up to a place.
func TestDropDeadLetters(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	var messages []*sarama.ProducerMessage
	for partition := int32(0); partition < 2; partition++ {
		for i := range 3 {
			messages = append(messages, &sarama.ProducerMessage{
				Topic: k.Topic(eventlog.TopicDeadLetters), Partition: partition, Value: sarama.StringEncoder(fmt.Sprint(i)),
			})
		}
	}
	produce(t, k, messages...)
	read := 0
	if err := k.ReadDeadLetters(t.Context(), func(DeadLetter) error { read++; return errEnough }); !errors.Is(err, errEnough) || read != 1 {
		t.Errorf("read %d, and ended with: %v", read, err)
	}
	left := func() (places []Place) {
		for _, d := range deadLetters(t, k) {
			places = append(places, d.Place)
		}
		return places
	}
	for _, step := range []struct {
		drop Place
		fail bool
		left []Place
	}{
		{Place{1, 1}, false, []Place{{0, 0}, {0, 1}, {0, 2}, {1, 2}}},
		{Place{1, 1}, false, []Place{{0, 0}, {0, 1}, {0, 2}, {1, 2}}},
		{Place{1, 3}, true, []Place{{0, 0}, {0, 1}, {0, 2}, {1, 2}}},
		{Place{partitions, 0}, true, []Place{{0, 0}, {0, 1}, {0, 2}, {1, 2}}},
		{Place{1, 2}, false, []Place{{0, 0}, {0, 1}, {0, 2}}},
		{Place{0, 2}, false, nil},
	} {
		if err := k.DropDeadLetters(t.Context(), step.drop); (err != nil) != step.fail {
			t.Errorf("drop up to %v: %v", step.drop, err)
		}
		if diff := cmp.Diff(step.left, left()); diff != "" {
			t.Errorf("left after %v (-want +got):\n%s", step.drop, diff)
		}
	}
}

// A message that is too large for the dead letters leaves a stub, with the
// place, the size and the digest of the message; later messages go on.
func TestDeadLetterStub(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	config := k.sarama()
	config.Producer.Partitioner, config.Producer.Compression, config.Producer.MaxMessageBytes = sarama.NewManualPartitioner, sarama.CompressionGZIP, 50<<20
	producer, err := sarama.NewSyncProducer(k.Brokers, config)
	if err != nil {
		t.Fatal(err)
	}
	closing(t, producer)
	large := make([]byte, 5<<20)
	for _, m := range []*sarama.ProducerMessage{
		{Value: sarama.ByteEncoder(large)},
		{Key: sarama.ByteEncoder(large), Headers: []sarama.RecordHeader{{Key: []byte("any"), Value: large}}},
	} {
		m.Topic, m.Partition = k.Topic(eventlog.TopicCommands), 2
		if _, _, err := producer.SendMessage(m); err != nil {
			t.Fatal(err)
		}
	}
	bury(t, k, &sarama.ProducerMessage{Partition: 2, Key: sarama.StringEncoder("later")})
	digest := fmt.Sprintf("%x", sha256.Sum256(large))
	nothing := fmt.Sprintf("%x", sha256.Sum256(nil))
	got := map[string]DeadLetter{}
	for _, d := range deadLetters(t, k) {
		got[d.From] = d
	}
	from := k.Topic(eventlog.TopicCommands) + " 2/"
	if d := got[from+"0"]; d.Size != 5<<20+int64(len("no key")) || d.Digest != digest || len(d.Body) != 0 || d.Reason != "it can't be decoded" || len(d.Headers) != 0 {
		t.Errorf("%+v", d)
	}
	if d := got[from+"1"]; d.Size != 10<<20+int64(len("any")) || d.Digest != nothing || len(d.Key) > 300 || len(d.Headers) != 0 {
		t.Errorf("%+v", d)
	}
	if d := got[from+"2"]; d.Key != "later" || d.Size != 0 || d.Digest != "" {
		t.Errorf("%+v", d)
	}
}

// A stub takes the place of a message that Kafka refuses for its size, by a
// limit of its own.
func TestDeadLetterStubAfterARefusal(t *testing.T) {
	t.Parallel()
	k := newKafka(t)
	ensureTopicsBut(t, k, eventlog.TopicDeadLetters)
	createTopic(t, k, eventlog.TopicDeadLetters, partitions, 1, map[string]string{"max.message.bytes": "10000"})
	bury(t, k, &sarama.ProducerMessage{Partition: 2, Value: sarama.ByteEncoder(make([]byte, 20_000))})
	if got := deadLetters(t, k); len(got) != 1 || got[0].Size != 20_000+int64(len("no key")) {
		t.Errorf("%+v", got)
	}
}

// The largest record that a partition processor makes fits topic events.
func TestTheLargestRecordFits(t *testing.T) {
	t.Parallel()
	k := newLog(t)
	records := newRecords(3)
	for _, r := range records { // together more than a batch
		r.CommandID, r.CommandHash, r.Trace = strings.Repeat("i", 4<<10), strings.Repeat("h", 4<<10), strings.Repeat("t", 4<<10)
		r.Body = make([]byte, eventlog.MaxRecordBody)
		r.Seal()
	}
	appendAll(t, k, records...)
	if end, err := newLogReader(t, k).End(t.Context(), 1); end != 3 || err != nil {
		t.Errorf("%d records, %v", end, err)
	}
}
