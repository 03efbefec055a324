package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// DeadLetterPublisher returns a publisher whose Publish returns once all
// in-sync replicas hold the messages, which came from Kafka and can't be
// decoded. It takes no heed of a message's context, and can block for as long
// as the producer tries again.
func (k *Kafka) DeadLetterPublisher() (message.Publisher, error) {
	config := k.sarama()
	config.Producer.MaxMessageBytes = maxDeadLetter
	publisher, err := kafka.NewPublisher(kafka.PublisherConfig{
		Brokers:               k.Brokers,
		Marshaler:             deadLetterMarshaler{},
		OverwriteSaramaConfig: config,
	}, WatermillLog(k.Log))
	if err != nil {
		return nil, fmt.Errorf("open a producer: %w", err)
	}
	return patientPublisher{publisher}, nil
}

// patientPublisher doesn't wait for a broker that hangs when it is closed.
type patientPublisher struct{ message.Publisher }

// Close implements [message.Publisher].
func (p patientPublisher) Close() error { return givenUp(closePatience, p.Publisher.Close) }

// maxDeadLetter is twice what a message elsewhere can have by default: one
// that is as large as can be must fit, with what it gets on top.
const maxDeadLetter = 2 << 20

// asyncBuffer is how many messages can be under way. The producer has room for
// all of them, so that handing one over never waits for a broker.
const asyncBuffer = 1 << 15

// closePatience is how long a producer that is closed may take for what is
// under way.
const closePatience = 3 * time.Second

// asyncPublisher is a Watermill publisher that doesn't wait: Publish hands the
// messages to the producer of their partition, in order, and each one's context
// carries who is told how it went ([whenDelivered]).
type asyncPublisher struct {
	producers  []sarama.AsyncProducer
	partitions int32
	results    sync.WaitGroup
	most       int           // messages under way
	patience   time.Duration // of Close

	pending  sync.Mutex
	underWay map[*sarama.ProducerMessage]delivered // who is to be told of each

	mu     sync.RWMutex // held while messages are handed over
	closed bool
}

var (
	errClosed = errors.New("closed")
	errFull   = errors.New("too many messages wait for a broker")
)

// delivered is told where all in-sync replicas hold a message, or, with an
// error, that Kafka may hold it or not. It must not wait for anything.
type delivered func(at Place, err error)

type deliveredKey struct{}

// whenDelivered has told told of the message that is published with this
// context, once, unless publishing it returned an error.
func whenDelivered(ctx context.Context, told delivered) context.Context {
	return context.WithValue(ctx, deliveredKey{}, told)
}

func newAsyncPublisher(k *Kafka) (*asyncPublisher, error) {
	config := k.sarama()
	config.ChannelBufferSize = asyncBuffer
	p := &asyncPublisher{
		partitions: k.Partitions, most: asyncBuffer, patience: closePatience,
		underWay: map[*sarama.ProducerMessage]delivered{},
	}
	for range max(k.Producers, 1) {
		producer, err := sarama.NewAsyncProducer(k.Brokers, config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a producer: %w", err), p.Close())
		}
		p.add(producer)
	}
	return p, nil
}

func (p *asyncPublisher) add(producer sarama.AsyncProducer) {
	p.producers = append(p.producers, producer)
	p.results.Go(func() {
		for msg := range producer.Successes() {
			p.tell(msg, nil)
		}
	})
	p.results.Go(func() {
		for failed := range producer.Errors() {
			p.tell(failed.Msg, failed.Err)
		}
	})
}

// of is the producer of a message's partition, which keeps the order there.
func (p *asyncPublisher) of(msg *sarama.ProducerMessage) (sarama.AsyncProducer, error) {
	partition, err := partitioner{p.partitions}.Partition(msg, p.partitions)
	return p.producers[int(partition)%len(p.producers)], err
}

func (p *asyncPublisher) tell(msg *sarama.ProducerMessage, err error) {
	p.pending.Lock()
	told := p.underWay[msg]
	delete(p.underWay, msg)
	p.pending.Unlock()
	if told != nil {
		told(Place{msg.Partition, msg.Offset}, err)
	}
}

// begin says whether there is room for a message.
func (p *asyncPublisher) begin(msg *sarama.ProducerMessage, told delivered) bool {
	p.pending.Lock()
	defer p.pending.Unlock()
	if len(p.underWay) >= p.most {
		return false
	}
	p.underWay[msg] = told
	return true
}

// Publish implements [message.Publisher].
func (p *asyncPublisher) Publish(topic string, msgs ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errClosed
	}
	for _, msg := range msgs {
		out, err := KafkaMarshaler{}.Marshal(topic, msg)
		if err != nil {
			return err
		}
		producer, err := p.of(out)
		if err != nil {
			return err
		}
		told, _ := msg.Context().Value(deliveredKey{}).(delivered)
		if !p.begin(out, told) {
			return errFull
		}
		producer.Input() <- out
	}
	return nil
}

// Close sends what is under way, and tells how it went. It doesn't wait for
// brokers that are away or hang longer than its patience lasts: Kafka may hold
// the rest or not, and so it is told.
func (p *asyncPublisher) Close() error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		for _, producer := range p.producers {
			producer.AsyncClose()
		}
	}
	p.mu.Unlock()
	told := make(chan struct{})
	go func() {
		p.results.Wait()
		close(told)
	}()
	patience := time.NewTimer(p.patience)
	defer patience.Stop()
	select {
	case <-told:
		return nil
	case <-patience.C:
		return p.giveUp()
	}
}

func (p *asyncPublisher) giveUp() error {
	p.pending.Lock()
	rest := p.underWay
	p.underWay = map[*sarama.ProducerMessage]delivered{}
	p.pending.Unlock()
	for _, told := range rest {
		if told != nil {
			told(Place{}, errClosed)
		}
	}
	return fmt.Errorf("closed a producer with %d messages that a broker may have or not", len(rest))
}
