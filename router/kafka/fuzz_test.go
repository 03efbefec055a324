package kafka

import (
	"bytes"
	"testing"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/eventlog"
)

// sent turns a producer's message into a consumer's message.
func sent(m *sarama.ProducerMessage, at *sarama.ConsumerMessage) *sarama.ConsumerMessage {
	key, _ := m.Key.Encode()
	value, _ := m.Value.Encode()
	out := &sarama.ConsumerMessage{Key: key, Value: value, Partition: at.Partition, Offset: at.Offset}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, &h)
	}
	return out
}

// asMessage is [recordToKafka] in sarama's form.
func asMessage(topic string, msg *message.Message) (*sarama.ProducerMessage, error) {
	record, err := recordToKafka(topic, msg)
	if err != nil {
		return nil, err
	}
	out := &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(record.Key), Value: sarama.ByteEncoder(record.Value)}
	for _, h := range record.Headers {
		out.Headers = append(out.Headers, sarama.RecordHeader{Key: []byte(h.Key), Value: h.Value})
	}
	return out, nil
}

// No message of topic commands stops a subscription by a panic. A decodable
// message is the same after another round through Kafka, and any other message
// becomes a dead letter unchanged.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range goldenCommands {
		f.Add(golden(f, c.Type), int32(0))
	}
	f.Add(golden(f, "renameUserByReaction"), int32(0))
	f.Add([]byte("key: \n\n"), int32(-1))
	f.Add(append([]byte("key: user/1\n_millrace_malformed: a"), bytes.TrimPrefix(golden(f, "createUser"), []byte("key: user/1"))...), int32(0))
	f.Add([]byte("key: 1\nce_subject: 1\nce_type: a\nce_type: b\n\n{}"), int32(3))
	f.Add([]byte("key: 1\nce_subject: 1\nce_specversion: 1.0\nce_type: a\nce_commandid: c\nce_commandhash: h\nce_time: 2026-09-21T09:11:12.345Z\nce_expectedversion: 9223372036854775807\n\n"), int32(0))
	f.Fuzz(func(t *testing.T, form []byte, shift int32) {
		m := kafkaMessage(form)
		m.Partition += shift
		msg := received(t, m)
		var c eventlog.Envelope
		err := CommandMarshaler{partitions}.Unmarshal(msg, &c)
		direct, failed := eventlog.DecodeEnvelope(rawFromKafka(m), partitions)
		if !isFiller(rawFromKafka(m)) && (failed == nil) != (err == nil) {
			t.Fatalf("straight from Kafka %+v, %v; through Watermill %+v, %v", direct, failed, c, err)
		}
		if err == nil && c.Stream == "" {
			return // a filler
		}
		if diff := cmp.Diff(direct, c); err == nil && diff != "" {
			t.Fatalf("(-straight +Watermill):\n%s", diff)
		}
		if err != nil {
			dead, err := deadLetterMarshaler{}.Marshal(eventlog.TopicDeadLetters, msg)
			if err != nil {
				t.Fatal(err)
			}
			if put := sent(dead, m); !bytes.Equal(put.Value, m.Value) || len(m.Key) > 0 && !bytes.Equal(put.Key, m.Key) {
				t.Errorf("the dead letter is %q %q, the message was %q %q", put.Key, put.Value, m.Key, m.Value)
			}
			return
		}
		again, err := CommandMarshaler{}.Marshal(&c)
		if err != nil {
			t.Fatal(err)
		}
		out, err := asMessage(eventlog.TopicCommands, again)
		if err != nil {
			t.Fatal(err)
		}
		second, err := eventlog.DecodeEnvelope(rawFromKafka(sent(out, m)), partitions)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c, second); diff != "" {
			t.Errorf("(-first +second):\n%s", diff)
		}
	})
}
