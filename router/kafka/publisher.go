package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/connection"
	"github.com/millrace/millrace/router/logging"
)

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

// asyncBuffer is the limit of messages under way. The producer's channel has
// room for all of them, so Publish never waits for a broker.
const asyncBuffer = 1 << 15

// closePatience is the time that Close gives to messages under way.
const closePatience = 3 * time.Second

// asyncPublisher is a Watermill publisher that doesn't wait. Publish puts the
// messages into the producer of their partition, in order. The message's context
// has the callback for the result ([whenDelivered]).
type asyncPublisher struct {
	producers  []sarama.AsyncProducer
	partitions int32
	results    sync.WaitGroup
	most       int           // limit of messages under way
	patience   time.Duration // of Close

	pending  sync.Mutex
	underWay map[*sarama.ProducerMessage]onTheWay

	log     *slog.Logger
	watched chan struct{} // closed by Close

	mu     sync.RWMutex // read-locked by Publish
	closed bool
}

// onTheWay is a message under way.
type onTheWay struct {
	callback delivered
	since    time.Time
}

const (
	// hangs is the age at which a message under way is worth a line: sarama
	// reports a failed message before.
	hangs      = 20 * time.Second
	hangsEvery = 5 * time.Second
	hangsAgain = time.Minute // between two lines
)

// watch logs that messages are neither in nor failed, until Close.
func (p *asyncPublisher) watch() {
	sampler := logging.Sampler{Interval: hangsAgain}
	tick := time.NewTicker(hangsEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-p.watched:
			return
		}
		if n, oldest := p.waiting(); oldest >= hangs {
			sampler.Warn(p.log, "messages wait for Kafka, which has neither taken nor refused any", "messages", n, "oldest", oldest.Round(time.Second).String())
		}
	}
}

// waiting returns the number of messages under way, and the age of the oldest.
func (p *asyncPublisher) waiting() (n int, oldest time.Duration) {
	p.pending.Lock()
	defer p.pending.Unlock()
	for _, m := range p.underWay {
		oldest = max(oldest, time.Since(m.since))
	}
	return len(p.underWay), oldest
}

var (
	errClosed  = errors.New("closed")
	errTooLate = fmt.Errorf("%w: %w", errClosed, eventlog.ErrNotTaken)
	errFull    = fmt.Errorf("too many messages wait for a broker: %w", eventlog.ErrNotTaken)
)

// delivered is a callback for the result of a message: the place once all
// in-sync replicas hold the message, or an error when Kafka may hold the message
// or not. The callback must not block.
type delivered func(at Place, err error)

type deliveredKey struct{}

// whenDelivered returns a context for publishing one message. The publisher
// calls the callback once, when the message is delivered or has failed. The
// callback is not called if Publish returns an error.
func whenDelivered(ctx context.Context, callback delivered) context.Context {
	return context.WithValue(ctx, deliveredKey{}, callback)
}

func newAsyncPublisher(k *Kafka) (*asyncPublisher, error) {
	config := k.sarama()
	config.ChannelBufferSize = asyncBuffer
	p := &asyncPublisher{
		partitions: k.Partitions, most: asyncBuffer, patience: closePatience,
		underWay: map[*sarama.ProducerMessage]onTheWay{}, log: k.Log, watched: make(chan struct{}),
	}
	go p.watch()
	for range max(k.Producers, 1) {
		producer, err := sarama.NewAsyncProducer(k.Brokers, config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a producer: %w", connection.Told(err)), p.Close())
		}
		p.add(producer)
	}
	return p, nil
}

func (p *asyncPublisher) add(producer sarama.AsyncProducer) {
	p.producers = append(p.producers, producer)
	p.results.Go(func() {
		for msg := range producer.Successes() {
			p.finish(msg, nil)
		}
	})
	p.results.Go(func() {
		for failed := range producer.Errors() {
			p.finish(failed.Msg, connection.Told(failed.Err))
		}
	})
}

// of returns the producer of a message's partition. One producer per partition
// keeps the order.
func (p *asyncPublisher) of(msg *sarama.ProducerMessage) (sarama.AsyncProducer, error) {
	partition, err := partitioner{p.partitions}.Partition(msg, p.partitions)
	return p.producers[int(partition)%len(p.producers)], err
}

// finish calls the callback of a message under way, with the result.
func (p *asyncPublisher) finish(msg *sarama.ProducerMessage, err error) {
	p.pending.Lock()
	callback := p.underWay[msg].callback
	delete(p.underWay, msg)
	p.pending.Unlock()
	if callback != nil {
		callback(Place{msg.Partition, msg.Offset}, err)
	}
}

// begin notes a message as under way, and reports whether there was room.
func (p *asyncPublisher) begin(msg *sarama.ProducerMessage, callback delivered) bool {
	p.pending.Lock()
	defer p.pending.Unlock()
	if len(p.underWay) >= p.most {
		return false
	}
	p.underWay[msg] = onTheWay{callback, time.Now()}
	return true
}

// Publish implements [message.Publisher].
func (p *asyncPublisher) Publish(topic string, msgs ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errTooLate
	}
	for _, msg := range msgs {
		out, err := messageMarshaler{}.Marshal(topic, msg)
		if err != nil {
			return err
		}
		producer, err := p.of(out)
		if err != nil {
			return err
		}
		callback, _ := msg.Context().Value(deliveredKey{}).(delivered)
		if !p.begin(out, callback) {
			return errFull
		}
		producer.Input() <- out
	}
	return nil
}

// Close sends the messages under way and calls their callbacks. Close waits for
// brokers for the publisher's patience only. Then the remaining callbacks get an
// error, because Kafka may hold those messages or not.
func (p *asyncPublisher) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		if p.watched != nil {
			close(p.watched)
		}
		for _, producer := range p.producers {
			producer.AsyncClose()
		}
	}
	p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		p.results.Wait()
		close(done)
	}()
	patience := time.NewTimer(p.patience)
	defer patience.Stop()
	select {
	case <-done:
		return nil
	case <-patience.C:
		return p.giveUp()
	}
}

// giveUp calls the callbacks of all messages under way, with an error.
func (p *asyncPublisher) giveUp() error {
	p.pending.Lock()
	rest := p.underWay
	p.underWay = map[*sarama.ProducerMessage]onTheWay{}
	p.pending.Unlock()
	for _, m := range rest {
		if m.callback != nil {
			m.callback(Place{}, errClosed)
		}
	}
	return fmt.Errorf("closed a producer with %d messages that a broker may have or not", len(rest))
}
