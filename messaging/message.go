package messaging

import (
	"errors"
	"fmt"
	"maps"
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

// readHeaders copies a Kafka record's headers. A ce_ header that is repeated,
// or not UTF-8, could be read in two ways.
func readHeaders(from []*sarama.RecordHeader) (headers []header, malformed error) {
	headers = make([]header, 0, len(from))
	for _, h := range from {
		key, value := string(h.Key), string(h.Value)
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

func rawFromKafka(m *sarama.ConsumerMessage) rawMessage {
	raw := rawMessage{partition: m.Partition, offset: m.Offset, key: string(m.Key), body: m.Value}
	raw.headers, raw.malformed = readHeaders(m.Headers)
	return raw
}

// rawFromMessage reads a message that came through Watermill. Partition and
// offset stand in its context, which ends with the message's ack.
func rawFromMessage(m *message.Message) rawMessage {
	raw := rawMessage{body: m.Payload, headers: make([]header, 0, len(m.Metadata))}
	key, _ := kafka.MessageKeyFromCtx(m.Context())
	raw.key = string(key)
	at := PlaceOf(m)
	raw.partition, raw.offset = at.Partition, at.Offset
	if reason := m.Metadata[metadataMalformed]; reason != "" {
		raw.malformed = errors.New(reason)
	}
	for key, value := range m.Metadata {
		if key != metadataMalformed {
			raw.headers = append(raw.headers, header{key, value})
		}
	}
	return raw
}

// KafkaMarshaler carries Watermill messages over Kafka: metadata are the
// headers, as they are, by key, and the subject is the key. It never fails to
// unmarshal, for watermill-kafka would rejoin the group for ever; what is
// wrong with a record shows when it is decoded.
type KafkaMarshaler struct{}

var _ kafka.MarshalerUnmarshaler = KafkaMarshaler{}

// Marshal implements [kafka.Marshaler].
func (KafkaMarshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	key := msg.Metadata[HeaderSubject]
	if key == "" {
		return nil, fmt.Errorf("message %s for topic %s has no %s", msg.UUID, topic, HeaderSubject)
	}
	return newProducerMessage(topic, []byte(key), msg), nil
}

func newProducerMessage(topic string, key []byte, msg *message.Message) *sarama.ProducerMessage {
	out := &sarama.ProducerMessage{
		Topic: topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(msg.Payload),
		Headers: make([]sarama.RecordHeader, 0, len(msg.Metadata)+2),
	}
	for _, key := range slices.Sorted(maps.Keys(msg.Metadata)) {
		if key != metadataMalformed {
			out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(key), Value: []byte(msg.Metadata[key])})
		}
	}
	return out
}

// Unmarshal implements [kafka.Unmarshaler].
func (KafkaMarshaler) Unmarshal(from *sarama.ConsumerMessage) (*message.Message, error) {
	headers, malformed := readHeaders(from.Headers)
	msg := message.NewMessage("", from.Value)
	for _, h := range headers {
		msg.Metadata[h.key] = h.value
	}
	msg.UUID = msg.Metadata[HeaderID]
	delete(msg.Metadata, metadataMalformed)
	if malformed != nil {
		msg.Metadata[metadataMalformed] = malformed.Error()
	}
	return msg, nil
}

// Place is where a message stands in its topic.
type Place struct {
	Partition int32
	Offset    int64
}

// PlaceOf is where a message that came from Kafka stands.
func PlaceOf(m *message.Message) (at Place) {
	at.Partition, _ = kafka.MessagePartitionFromCtx(m.Context())
	at.Offset, _ = kafka.MessagePartitionOffsetFromCtx(m.Context())
	return at
}

// deadLetterMarshaler keeps a message as it came, under whatever key it had.
type deadLetterMarshaler struct{ KafkaMarshaler }

func (m deadLetterMarshaler) Marshal(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	key, _ := kafka.MessageKeyFromCtx(msg.Context())
	if len(key) == 0 {
		key = []byte("no key")
	}
	at := PlaceOf(msg)
	out := newProducerMessage(topic, key, msg)
	out.Headers = append(out.Headers,
		sarama.RecordHeader{Key: []byte(headerPoisonedPartition), Value: strconv.AppendInt(nil, int64(at.Partition), 10)},
		sarama.RecordHeader{Key: []byte(headerPoisonedOffset), Value: strconv.AppendInt(nil, at.Offset, 10)})
	return out, nil
}

func newMessage(headers []header, body []byte) *message.Message {
	msg := message.NewMessage("", body)
	for _, h := range headers {
		msg.Metadata[h.key] = h.value
	}
	msg.UUID = msg.Metadata[HeaderID]
	return msg
}
