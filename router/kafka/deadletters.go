package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/message/router/middleware"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/connection"
)

// Headers of a dead letter, beside the message's own headers and the headers of
// Watermill's poison queue.
const (
	headerPoisonedPartition = "partition_poisoned"
	headerPoisonedOffset    = "offset_poisoned"
	// The headers of a stub.
	headerPoisonedSize   = "size_poisoned"
	headerPoisonedDigest = "sha256_poisoned"
)

// DeadLetter is a message that no binary can decode.
type DeadLetter struct {
	Place             // in topic dead-letters
	Time    time.Time // when the dead letter was written
	Key     string
	Headers map[string]string // the message's own headers
	Body    []byte
	// Reason says why the message is a dead letter.
	Reason string
	// From is the message's former place, as "<topic> <partition>/<offset>".
	From string
	// Size is not 0 for a stub: the message was too large for the dead letters.
	// Size is the message's size in bytes, and Digest the SHA-256 of its body in
	// lower-case hex. The message itself is at its former place.
	Size   int64
	Digest string
}

// DeadLetterPublisher returns a publisher of dead letters, the messages of a
// subscription with [ErrUndecodable]. Publish returns once all in-sync replicas
// hold the messages. Publish ignores a message's context, and can block for the
// time of the producer's retries.
func (k *Kafka) DeadLetterPublisher() (message.Publisher, error) {
	config := k.sarama()
	config.Producer.MaxMessageBytes = maxDeadLetter
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               k.Brokers,
		Marshaler:             deadLetterMarshaler{},
		OverwriteSaramaConfig: config,
	}, WatermillLog(k.Log))
	if err != nil {
		return nil, fmt.Errorf("open a producer: %w", connection.Told(err))
	}
	return patientPublisher{stubPublisher{publisher}}, nil
}

// stubPublisher is a publisher of dead letters that replaces a message by a stub
// if Kafka refuses the message at every try.
type stubPublisher struct{ message.Publisher }

// Publish implements [message.Publisher].
func (p stubPublisher) Publish(topic string, messages ...*message.Message) error {
	for _, msg := range messages {
		err := p.Publisher.Publish(topic, msg)
		if refusedForGood(err) {
			stub := msg.Copy()
			stub.SetContext(context.WithValue(msg.Context(), stubKey{}, true))
			err = p.Publisher.Publish(topic, stub)
		}
		if err != nil {
			return connection.Told(err)
		}
	}
	return nil
}

// refusedForGood reports whether an error says that Kafka takes a message at no
// try.
func refusedForGood(err error) bool {
	var config sarama.ConfigurationError // larger than the producer's own limit
	return errors.As(err, &config) || slices.ContainsFunc([]error{
		sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge, sarama.ErrInvalidRecord, sarama.ErrInvalidTimestamp,
	}, func(e error) bool { return errors.Is(err, e) })
}

// patientPublisher is a publisher with a bounded wait in Close, for a broker
// that hangs.
type patientPublisher struct{ message.Publisher }

// Close implements [message.Publisher].
func (p patientPublisher) Close() error { return givenUp(closePatience, p.Publisher.Close) }

// maxDeadLetter is the size of the largest dead letter, in bytes: twice the
// default limit of other topics. So the largest message fits, with the
// additional headers, unless the message was compressed or the cluster takes
// larger messages.
const maxDeadLetter = 2 << 20

// deadLetterRoom is the room for the additional headers, and Kafka's own bytes.
const deadLetterRoom = 64 << 10

// ReadDeadLetters calls fn for each dead letter, up to the topic's present end,
// and returns the first error of fn.
func (k *Kafka) ReadDeadLetters(ctx context.Context, fn func(DeadLetter) error) error {
	reader, err := k.reader(eventlog.TopicDeadLetters)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	for partition := range k.Partitions {
		first, err := reader.start(ctx, partition)
		if err != nil {
			return err
		}
		end, err := reader.End(ctx, partition)
		if err != nil {
			return err
		}
		if first >= end {
			continue
		}
		done := errors.New("done")
		err = reader.follow(ctx, partition, first, func(messages []*sarama.ConsumerMessage) error {
			for _, m := range messages {
				if err := fn(deadLetterOf(m)); err != nil {
					return err
				}
				if m.Offset >= end-1 {
					return done
				}
			}
			return nil
		})
		if !errors.Is(err, done) {
			return err
		}
	}
	return nil
}

// DeadLetters returns the number of dead letters that nobody has dropped.
func (r *LogReader) DeadLetters(ctx context.Context) (letters int64, err error) {
	for partition := range r.partitions {
		var offsets [2]int64
		for i, which := range []int64{sarama.OffsetOldest, sarama.OffsetNewest} {
			offsets[i], err = answerWithin(ctx, func() (int64, error) { return offsetOf(ctx, r.client, r.deadLetters, partition, which) })
			if err != nil {
				return 0, fmt.Errorf("offsets of partition %d of %s: %w", partition, r.deadLetters, err)
			}
		}
		letters += offsets[1] - offsets[0]
	}
	return letters, nil
}

func deadLetterOf(m *sarama.ConsumerMessage) DeadLetter {
	d := DeadLetter{Place: Place{m.Partition, m.Offset}, Time: m.Timestamp, Key: string(m.Key), Headers: map[string]string{}, Body: m.Value}
	var topic, partition, offset string
	for _, h := range m.Headers {
		switch key, value := string(h.Key), string(h.Value); key {
		case middleware.ReasonForPoisonedKey:
			d.Reason = value
		case middleware.PoisonedTopicKey:
			topic = value
		case headerPoisonedPartition:
			partition = value
		case headerPoisonedOffset:
			offset = value
		case headerPoisonedSize:
			d.Size, _ = strconv.ParseInt(value, 10, 64) // another program's header counts as 0
		case headerPoisonedDigest:
			d.Digest = value
		case middleware.PoisonedHandlerKey, middleware.PoisonedSubscriberKey:
		default:
			d.Headers[key] = value
		}
	}
	if len(d.Body) > 0 { // a header of the message itself
		d.Size, d.Digest = 0, ""
	}
	d.From = fmt.Sprintf("%s %s/%s", topic, partition, offset)
	return d
}

// DropDeadLetters deletes a partition's dead letters up to and including the
// place upTo: Kafka deletes from the front of a partition only.
func (k *Kafka) DropDeadLetters(ctx context.Context, upTo Place) error {
	return within(ctx, func() error {
		admin, err := k.clusterAdmin()
		if err != nil {
			return fmt.Errorf("drop dead letters: %w", err)
		}
		defer func() { _ = admin.Close() }()
		if err := admin.DeleteRecords(k.Topic(eventlog.TopicDeadLetters), map[int32]int64{upTo.Partition: upTo.Offset + 1}); err != nil {
			return fmt.Errorf("drop dead letters: %w", err)
		}
		return nil
	})
}
