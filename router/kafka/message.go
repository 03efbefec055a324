package kafka

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// metadataMalformed is the name of the metadata with the error of
// [eventlog.ReadHeaders], because metadata have no repeated headers. A header of
// this name doesn't count.
const metadataMalformed = "_millrace_malformed"

// rawFromMessage returns a command or a record from watermill-kafka, before
// decoding.
func rawFromMessage(msg *message.Message) eventlog.RawMessage {
	at := PlaceOf(msg)
	key, _ := kafka.MessageKeyFromCtx(msg.Context())
	raw := eventlog.RawMessage{
		Partition: at.Partition, Offset: at.Offset, Key: string(key),
		Headers: make([]eventlog.Header, 0, len(msg.Metadata)), Body: msg.Payload,
	}
	for name, value := range msg.Metadata {
		if name == metadataMalformed {
			raw.Malformed = errors.New(value)
			continue
		}
		raw.Headers = append(raw.Headers, eventlog.Header{Key: name, Value: value})
	}
	return raw
}

type recordsKey struct{}

// recordsMessage returns a message with records of topic events. The records
// are in the message's context: they are decoded already.
func recordsMessage(ctx context.Context, records []eventlog.Record) *message.Message {
	return message.NewMessageWithContext(context.WithValue(ctx, recordsKey{}, records), records[0].ID, nil)
}

// RecordsFromMessage returns the records of a message from
// [Kafka.LogSubscription], in log order.
func RecordsFromMessage(msg *message.Message) []eventlog.Record {
	records, _ := msg.Context().Value(recordsKey{}).([]eventlog.Record)
	return records
}

// PlaceOf returns the place of a message from a subscription: the place of the
// command, or of the first record.
func PlaceOf(msg *message.Message) Place {
	if records := RecordsFromMessage(msg); len(records) > 0 {
		return Place{records[0].Partition, records[0].Offset}
	}
	partition, _ := kafka.MessagePartitionFromCtx(msg.Context())
	offset, _ := kafka.MessagePartitionOffsetFromCtx(msg.Context())
	return Place{partition, offset}
}

// Place is the place of a message in a topic.
type Place struct {
	Partition int32
	Offset    int64
}

// messageUnmarshaler turns a Kafka message into a Watermill message, as
// [recordToKafka] does the other way round: the headers become the metadata.
// watermill-kafka puts key and place of the message into its context.
type messageUnmarshaler struct{}

var _ kafka.Unmarshaler = messageUnmarshaler{}

// headerRoom has room for the headers of a message.
var headerRoom = sync.Pool{New: func() any { return new([]eventlog.Header) }}

// Unmarshal implements [kafka.Unmarshaler]. Unmarshal never returns an error:
// after an error watermill-kafka would join the group anew, for ever.
func (messageUnmarshaler) Unmarshal(m *sarama.ConsumerMessage) (*message.Message, error) {
	room, _ := headerRoom.Get().(*[]eventlog.Header)
	raw := rawInto(*room, m)
	slices.Reverse(raw.Headers) // the first of repeated headers counts
	msg := newMessage(raw.Headers, m.Value)
	clear(raw.Headers)
	*room = raw.Headers
	headerRoom.Put(room)
	delete(msg.Metadata, metadataMalformed)
	if raw.Malformed != nil {
		msg.Metadata[metadataMalformed] = raw.Malformed.Error()
	}
	return msg, nil
}

// sentRecord is a record for the producer, with the memory of its headers and
// texts. A record has no reader once the producer is done.
type sentRecord struct {
	kgo.Record
	headers []kgo.RecordHeader
	text    []byte // the key and the values of all headers
}

var sentRecords = sync.Pool{New: func() any { return new(sentRecord) }}

// done takes a record's memory for other records.
func (s *sentRecord) done() {
	clear(s.headers)
	*s = sentRecord{headers: s.headers[:0], text: s.text[:0]}
	sentRecords.Put(s)
}

// recordToKafka turns a Watermill message into a record of topic commands or
// events: the metadata become the headers, sorted by key, and ce_subject becomes
// the key.
func recordToKafka(topic string, msg *message.Message) (*sentRecord, error) {
	key := msg.Metadata[eventlog.HeaderSubject]
	if key == "" {
		return nil, fmt.Errorf("message %s for topic %s has no %s", msg.UUID, topic, eventlog.HeaderSubject)
	}
	size := len(key)
	for _, value := range msg.Metadata {
		size += len(value)
	}
	out, _ := sentRecords.Get().(*sentRecord)
	text := slices.Grow(out.text, size) // the parts must not move
	part := func(s string) []byte {
		text = append(text, s...)
		return text[len(text)-len(s) : len(text) : len(text)]
	}
	out.Topic, out.Key, out.Value = topic, part(key), msg.Payload
	headers := out.headers
	for name, value := range msg.Metadata {
		headers = append(headers, kgo.RecordHeader{Key: name, Value: part(value)})
	}
	slices.SortFunc(headers, func(a, b kgo.RecordHeader) int { return strings.Compare(a.Key, b.Key) })
	out.headers, out.text, out.Headers = headers, text, headers
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
	at, body := PlaceOf(msg), []byte(msg.Payload)
	key, _ := kafka.MessageKeyFromCtx(msg.Context())
	if len(key) == 0 {
		key = []byte("no key")
	}
	poison, own := message.Metadata{}, message.Metadata{}
	size := len(key) + len(body)
	for name, value := range msg.Metadata {
		switch name {
		case middleware.ReasonForPoisonedKey, middleware.PoisonedTopicKey, middleware.PoisonedHandlerKey, middleware.PoisonedSubscriberKey:
			poison[name] = eventlog.Bounded(value, maxReason)
		case metadataMalformed:
		default:
			own[name] = value
			size += len(name) + len(value)
		}
	}
	if msg.Context().Value(stubKey{}) != nil || size > maxDeadLetter-deadLetterRoom {
		digest := sha256.Sum256(body)
		key, body = []byte(strings.ToValidUTF8(eventlog.Bounded(string(key), maxStubKey), "?")), nil
		own = message.Metadata{headerPoisonedSize: strconv.Itoa(size), headerPoisonedDigest: hex.EncodeToString(digest[:])}
	}
	maps.Copy(own, poison)
	out := &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(body)}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(name), Value: []byte(own[name])})
	}
	out.Headers = append(out.Headers,
		sarama.RecordHeader{Key: []byte(headerPoisonedPartition), Value: strconv.AppendInt(nil, int64(at.Partition), 10)},
		sarama.RecordHeader{Key: []byte(headerPoisonedOffset), Value: strconv.AppendInt(nil, at.Offset, 10)})
	return out, nil
}

// newMessage is a message for a handler, which acknowledges the message.
// newMessage takes no memory of the headers.
func newMessage(headers []eventlog.Header, body []byte) *message.Message {
	msg := message.NewMessage("", body)
	msg.Metadata = make(message.Metadata, len(headers))
	fillMessage(msg, headers)
	return msg
}

// newSending is a message for a publisher. Nobody acknowledges the message, so
// the channels of [message.NewMessage] are missing. newSending takes no memory of
// the headers.
func newSending(headers []eventlog.Header, body []byte) *message.Message {
	metadata, _ := sentMetadata.Get().(message.Metadata)
	msg := &message.Message{Payload: body, Metadata: metadata}
	fillMessage(msg, headers)
	return msg
}

// sentMetadata has the memory of the metadata of messages that the publisher has
// turned into records.
var sentMetadata = sync.Pool{New: func() any { return make(message.Metadata, metadataRoom) }}

// metadataRoom is the usual number of headers.
const metadataRoom = 14

// forget takes the memory of a message's metadata. The message has no reader.
func forget(msg *message.Message) {
	metadata := msg.Metadata
	msg.Metadata = nil
	clear(metadata)
	sentMetadata.Put(metadata)
}

func fillMessage(msg *message.Message, headers []eventlog.Header) {
	for _, h := range headers {
		msg.Metadata[h.Key] = h.Value
	}
	msg.UUID = msg.Metadata[eventlog.HeaderID]
}
