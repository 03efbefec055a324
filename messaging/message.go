package messaging

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// rawMessage is a Kafka record before anybody has made sense of it.
type rawMessage struct {
	partition int32
	offset    int64
	key       string
	headers   []header
	body      []byte
	malformed error
}

func (m rawMessage) get(key string) string {
	value, _ := m.lookup(key)
	return value
}

func (m rawMessage) lookup(key string) (value string, given bool) {
	for _, h := range m.headers {
		if h.key == key {
			return h.value, true
		}
	}
	return "", false
}

// stream is the record's subject, which must be its key, and belong to the
// partition that it stands in: what order would it have otherwise?
func (m rawMessage) stream(partitions int32) (string, error) {
	if m.malformed != nil {
		return "", m.malformed
	}
	stream := m.get(HeaderSubject)
	switch {
	case stream == "":
		return "", fmt.Errorf("no %s", HeaderSubject)
	case stream != m.key:
		return "", fmt.Errorf("%s %q is not the key %q", HeaderSubject, stream, m.key)
	case PartitionOf(stream, partitions) != m.partition:
		return "", fmt.Errorf("stream %q stands in partition %d, and belongs in %d", stream, m.partition, PartitionOf(stream, partitions))
	}
	return stream, nil
}

// readHeaders copies a Kafka record's headers behind those that are there. A
// ce_ header that is repeated, or not UTF-8, could be read in two ways.
func readHeaders(headers []header, from []*sarama.RecordHeader, messageKey string) (_ []header, malformed error) {
	headers = slices.Grow(headers, len(from))
	var passing strings.Builder // one text for all that nobody keeps
	size := 0
	for _, h := range from {
		size += len(h.Value)
	}
	for _, h := range from {
		key := headerKey(h.Key)
		var value string
		switch {
		case isPassing(key):
			if passing.Cap() == 0 {
				passing.Grow(size)
			}
			before := passing.Len()
			passing.Write(h.Value)
			value = passing.String()[before:]
		case key == HeaderSubject && string(h.Value) == messageKey:
			value = messageKey
		case string(h.Value) == specVersion:
			value = specVersion
		case string(h.Value) == source:
			value = source
		case string(h.Value) == contentType:
			value = contentType
		default:
			value = string(h.Value)
		}
		if strings.HasPrefix(key, headerPrefix) {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				malformed = fmt.Errorf("header %q is not UTF-8", key)
			}
			for _, before := range headers {
				if before.key == key {
					malformed = fmt.Errorf("header %s is repeated", key)
				}
			}
		}
		headers = append(headers, header{key, value})
	}
	return headers, malformed
}

// isPassing says whether a header's text is read, and kept by nobody: a short
// one that is kept would keep all of them.
func isPassing(key string) bool {
	switch key {
	case HeaderSeq, HeaderPrev, HeaderVersion, HeaderTime, HeaderCommandPosition:
		return true
	default:
		return false
	}
}

// headerKey is a header's key, of which there are few: they take no memory.
func headerKey(key []byte) string {
	switch string(key) {
	case HeaderSpecVersion:
		return HeaderSpecVersion
	case HeaderID:
		return HeaderID
	case HeaderType:
		return HeaderType
	case HeaderSource:
		return HeaderSource
	case HeaderSubject:
		return HeaderSubject
	case HeaderTime:
		return HeaderTime
	case HeaderSeq:
		return HeaderSeq
	case HeaderPrev:
		return HeaderPrev
	case HeaderVersion:
		return HeaderVersion
	case HeaderCommandID:
		return HeaderCommandID
	case HeaderCommandHash:
		return HeaderCommandHash
	case HeaderCommandPosition:
		return HeaderCommandPosition
	case HeaderExpectedVersion:
		return HeaderExpectedVersion
	case HeaderContentType:
		return HeaderContentType
	case HeaderTraceParent:
		return HeaderTraceParent
	default:
		return string(key)
	}
}

func rawFromKafka(m *sarama.ConsumerMessage) rawMessage {
	return rawInto(nil, m)
}

// rawInto uses the room of headers that nobody uses any more.
func rawInto(room []header, m *sarama.ConsumerMessage) rawMessage {
	raw := rawMessage{partition: m.Partition, offset: m.Offset, key: string(m.Key), body: m.Value}
	raw.headers, raw.malformed = readHeaders(room[:0], m.Headers, raw.key)
	return raw
}

// delivery is what a message that came from Kafka carries in its context.
type delivery struct {
	at      Place // of the first, where there are more
	key     []byte
	headers []header

	command     Command
	undecodable error // why there is no command

	records []Record
}

type deliveryKey struct{}

func deliveryOf(msg *message.Message) *delivery {
	if d, ok := msg.Context().Value(deliveryKey{}).(*delivery); ok {
		return d
	}
	return new(delivery)
}

// newDelivered makes Watermill's message of a delivery. Its metadata are the
// type, and headers of others: what the decoder has read needs no map.
func newDelivered(ctx context.Context, d *delivery, id, messageType string, body []byte) *message.Message {
	msg := message.NewMessageWithContext(context.WithValue(ctx, deliveryKey{}, d), id, body)
	msg.Metadata[HeaderType] = messageType
	for _, h := range d.headers {
		if !strings.HasPrefix(h.key, headerPrefix) {
			msg.Metadata[h.key] = h.value
		}
	}
	return msg
}

// commandMessage decodes a message of topic commands.
func commandMessage(ctx context.Context, m *sarama.ConsumerMessage, partitions int32) *message.Message {
	raw := rawFromKafka(m)
	d := &delivery{at: Place{m.Partition, m.Offset}, key: m.Key, headers: raw.headers}
	d.command, d.undecodable = decodeCommand(raw, partitions)
	return newDelivered(ctx, d, raw.get(HeaderID), raw.get(HeaderType), m.Value)
}

// recordsMessage carries records of topic events.
func recordsMessage(ctx context.Context, of []Record) *message.Message {
	d := &delivery{at: Place{of[0].Partition, of[0].Offset}, records: of}
	return newDelivered(ctx, d, of[0].ID, TopicEvents, nil)
}

// CommandFromMessage is what a message of a [Kafka.CommandSubscription] says.
// An error is [ErrUndecodable].
func CommandFromMessage(msg *message.Message) (Command, error) {
	d := deliveryOf(msg)
	if d.undecodable != nil {
		return d.command, fmt.Errorf("%w: %w", ErrUndecodable, d.undecodable)
	}
	return d.command, nil
}

// RecordsFromMessage are the records of a message of a
// [Kafka.LogSubscription], in log order.
func RecordsFromMessage(msg *message.Message) []Record { return deliveryOf(msg).records }

// PlaceOf is where a message that came from Kafka stands.
func PlaceOf(msg *message.Message) Place { return deliveryOf(msg).at }

// Place is where a message stands in its topic.
type Place struct {
	Partition int32
	Offset    int64
}

// KafkaMarshaler carries Watermill messages to Kafka: metadata are the
// headers, as they are, by key, and the subject is the key.
type KafkaMarshaler struct{}

var _ kafka.Marshaler = KafkaMarshaler{}

// Marshal implements [kafka.Marshaler].
func (KafkaMarshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	key := msg.Metadata[HeaderSubject]
	if key == "" {
		return nil, fmt.Errorf("message %s for topic %s has no %s", msg.UUID, topic, HeaderSubject)
	}
	return newProducerMessage(topic, []byte(key), msg.Metadata, msg.Payload), nil
}

func newProducerMessage(topic string, key []byte, metadata message.Metadata, body []byte) *sarama.ProducerMessage {
	out := &sarama.ProducerMessage{
		Topic: topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(body),
		Headers: make([]sarama.RecordHeader, 0, len(metadata)+2),
	}
	size := 0
	for name, value := range metadata {
		size += len(name) + len(value)
	}
	text := make([]byte, 0, size) // of all of them
	part := func(s string) []byte {
		text = append(text, s...)
		return text[len(text)-len(s) : len(text) : len(text)]
	}
	for name, value := range metadata {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: part(name), Value: part(value)})
	}
	slices.SortFunc(out.Headers, func(a, b sarama.RecordHeader) int { return bytes.Compare(a.Key, b.Key) })
	return out
}

// deadLetterMarshaler keeps a message as it came, under whatever key it had,
// with the metadata that it got since.
type deadLetterMarshaler struct{}

var _ kafka.Marshaler = deadLetterMarshaler{}

// Marshal implements [kafka.Marshaler].
func (deadLetterMarshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	d := deliveryOf(msg)
	key := d.key
	if len(key) == 0 {
		key = []byte("no key")
	}
	metadata := message.Metadata{}
	for _, h := range d.headers {
		metadata[h.key] = h.value
	}
	for name, value := range msg.Metadata {
		if name != HeaderType { // as it came, or not at all
			metadata[name] = value
		}
	}
	out := newProducerMessage(topic, key, metadata, msg.Payload)
	out.Headers = append(out.Headers,
		sarama.RecordHeader{Key: []byte(headerPoisonedPartition), Value: strconv.AppendInt(nil, int64(d.at.Partition), 10)},
		sarama.RecordHeader{Key: []byte(headerPoisonedOffset), Value: strconv.AppendInt(nil, d.at.Offset, 10)})
	return out, nil
}

func newMessage(headers []header, body []byte) *message.Message {
	msg := message.NewMessage("", body)
	msg.Metadata = make(message.Metadata, len(headers))
	for _, h := range headers {
		msg.Metadata[h.key] = h.value
	}
	msg.UUID = msg.Metadata[HeaderID]
	return msg
}
