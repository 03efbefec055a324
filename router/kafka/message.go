package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
)

func headerParts(h *sarama.RecordHeader) (key, value []byte) { return h.Key, h.Value }

func rawFromKafka(m *sarama.ConsumerMessage) eventlog.RawMessage {
	return rawInto(nil, m)
}

// rawInto is like rawFromKafka, and uses the memory of room, a slice of headers
// without a reader.
func rawInto(room []eventlog.Header, m *sarama.ConsumerMessage) eventlog.RawMessage {
	raw := eventlog.RawMessage{Partition: m.Partition, Offset: m.Offset, Key: string(m.Key), Body: m.Value}
	raw.Headers, raw.Malformed = eventlog.ReadHeaders(room[:0], m.Headers, headerParts, raw.Key)
	return raw
}

// delivery is the decoded content of a message from Kafka. The message's context
// has the delivery.
type delivery struct {
	at      Place // of the first record
	key     []byte
	headers []eventlog.Header

	envelope    eventlog.Envelope // in topic commands
	undecodable error             // why there is no envelope

	records []eventlog.Record // in topic events
}

type deliveryKey struct{}

func deliveryOf(msg *message.Message) *delivery {
	if d, ok := msg.Context().Value(deliveryKey{}).(*delivery); ok {
		return d
	}
	return new(delivery)
}

// newDelivered returns the Watermill message of a delivery. The metadata have
// the type, and the headers outside of the digest; the delivery has all others.
func newDelivered(ctx context.Context, d *delivery, id, messageType string, body []byte) *message.Message {
	msg := message.NewMessageWithContext(context.WithValue(ctx, deliveryKey{}, d), id, body)
	msg.Metadata[eventlog.HeaderType] = messageType
	for _, h := range d.headers {
		if !strings.HasPrefix(h.Key, eventlog.HeaderPrefix) {
			msg.Metadata[h.Key] = h.Value
		}
	}
	return msg
}

// commandMessage decodes a message of topic commands.
func commandMessage(ctx context.Context, m *sarama.ConsumerMessage, partitions int32) *message.Message {
	raw := rawFromKafka(m)
	d := &delivery{at: Place{m.Partition, m.Offset}, key: m.Key, headers: raw.Headers}
	d.envelope, d.undecodable = eventlog.DecodeEnvelope(raw, partitions)
	return newDelivered(ctx, d, raw.Get(eventlog.HeaderID), raw.Get(eventlog.HeaderType), m.Value)
}

// recordsMessage returns a message with records of topic events.
func recordsMessage(ctx context.Context, of []eventlog.Record) *message.Message {
	d := &delivery{at: Place{of[0].Partition, of[0].Offset}, records: of}
	return newDelivered(ctx, d, of[0].ID, eventlog.TopicEvents, nil)
}

// EnvelopeFromMessage returns the envelope of a message from
// [Kafka.CommandSubscription]. An error is [ErrUndecodable].
func EnvelopeFromMessage(msg *message.Message) (eventlog.Envelope, error) {
	d := deliveryOf(msg)
	if d.undecodable != nil {
		return d.envelope, fmt.Errorf("%w: %w", ErrUndecodable, d.undecodable)
	}
	return d.envelope, nil
}

// RecordsFromMessage returns the records of a message from
// [Kafka.LogSubscription], in log order.
func RecordsFromMessage(msg *message.Message) []eventlog.Record { return deliveryOf(msg).records }

// PlaceOf returns the place of a message from a subscription.
func PlaceOf(msg *message.Message) Place { return deliveryOf(msg).at }

// Place is the place of a message in a topic.
type Place struct {
	Partition int32
	Offset    int64
}

// recordToKafka turns a Watermill message into a record of topic commands or
// events: the metadata become the headers, sorted by key, and ce_subject becomes
// the key.
func recordToKafka(topic string, msg *message.Message) (*kgo.Record, error) {
	key := msg.Metadata[eventlog.HeaderSubject]
	if key == "" {
		return nil, fmt.Errorf("message %s for topic %s has no %s", msg.UUID, topic, eventlog.HeaderSubject)
	}
	size := len(key)
	for _, value := range msg.Metadata {
		size += len(value)
	}
	text := make([]byte, 0, size) // shared by the key and all values
	part := func(s string) []byte {
		text = append(text, s...)
		return text[len(text)-len(s) : len(text) : len(text)]
	}
	out := &kgo.Record{Topic: topic, Key: part(key), Value: msg.Payload, Headers: make([]kgo.RecordHeader, 0, len(msg.Metadata))}
	for name, value := range msg.Metadata {
		out.Headers = append(out.Headers, kgo.RecordHeader{Key: name, Value: part(value)})
	}
	slices.SortFunc(out.Headers, func(a, b kgo.RecordHeader) int { return strings.Compare(a.Key, b.Key) })
	return out, nil
}

// deadLetterMarshaler writes a message from Kafka unchanged: body, headers and
// key, even a key of another form. The metadata of Watermill's poison queue, and
// the message's former place, become additional headers. A message that is too
// large becomes a stub.
type deadLetterMarshaler struct{}

// stubKey is the key of a context whose message becomes a stub.
type stubKey struct{}

const (
	// maxReason is the limit of a dead letter's reason, in bytes.
	maxReason = 4 << 10
	// maxStubKey is the limit of a stub's key, in bytes.
	maxStubKey = 256
)

var _ kafka.Marshaler = deadLetterMarshaler{}

// Marshal implements [kafka.Marshaler].
func (deadLetterMarshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	d := deliveryOf(msg)
	key := d.key
	if len(key) == 0 {
		key = []byte("no key")
	}
	metadata, body := message.Metadata{}, []byte(msg.Payload)
	size := len(key) + len(body)
	for _, h := range d.headers {
		metadata[h.Key] = h.Value
		size += len(h.Key) + len(h.Value)
	}
	stub := msg.Context().Value(stubKey{}) != nil || size > maxDeadLetter-deadLetterRoom
	if stub {
		digest := sha256.Sum256(body)
		key, body = []byte(strings.ToValidUTF8(eventlog.Bounded(string(key), maxStubKey), "?")), nil
		metadata = message.Metadata{headerPoisonedSize: strconv.Itoa(size), headerPoisonedDigest: hex.EncodeToString(digest[:])}
	}
	for name, value := range msg.Metadata {
		switch name {
		case middleware.ReasonForPoisonedKey, middleware.PoisonedTopicKey, middleware.PoisonedHandlerKey, middleware.PoisonedSubscriberKey:
			metadata[name] = eventlog.Bounded(value, maxReason)
		case eventlog.HeaderType: // the message's own header stays, or stays missing
		default:
			if !stub {
				metadata[name] = value
			}
		}
	}
	out := &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(body)}
	for _, name := range slices.Sorted(maps.Keys(metadata)) {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(metadata[name])})
	}
	out.Headers = append(out.Headers,
		sarama.RecordHeader{Key: []byte(headerPoisonedPartition), Value: strconv.AppendInt(nil, int64(d.at.Partition), 10)},
		sarama.RecordHeader{Key: []byte(headerPoisonedOffset), Value: strconv.AppendInt(nil, d.at.Offset, 10)})
	return out, nil
}

func newMessage(headers []eventlog.Header, body []byte) *message.Message {
	msg := message.NewMessage("", body)
	msg.Metadata = make(message.Metadata, len(headers))
	for _, h := range headers {
		msg.Metadata[h.Key] = h.Value
	}
	msg.UUID = msg.Metadata[eventlog.HeaderID]
	return msg
}
