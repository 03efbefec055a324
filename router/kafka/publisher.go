package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/connection"
	"github.com/millrace/millrace/router/logging"
)

// asyncBuffer is the limit of messages under way. The producer has room for all
// of them, so Publish never waits for a broker.
const asyncBuffer = 1 << 15

const (
	// closePatience is the time that Close gives to messages under way.
	closePatience = 3 * time.Second
	// deliveryTimeout is the age at which a message under way counts as failed:
	// brokers are away, or too few replicas are in sync.
	deliveryTimeout = 10 * time.Second
	// answerTimeout is the wait for a broker's answer, in addition to the time
	// that the broker itself has for a request.
	answerTimeout = 5 * time.Second
	// retryPause is the wait before the next try, and between two questions for a
	// partition's leader.
	retryPause = 200 * time.Millisecond
)

// asyncPublisher is a Watermill publisher that doesn't wait. Publish puts the
// messages into the producer, in order. The message's context has the callback
// for the result ([whenDelivered]).
type asyncPublisher struct {
	client     *kgo.Client
	partitions int32
	patience   time.Duration // of Close
	most       int64         // limit of messages under way
	underWay   atomic.Int64
	results    sync.WaitGroup
	flows      []flow // by partition

	log     *slog.Logger
	watched chan struct{} // closed by Close

	mu     sync.RWMutex // read-locked by Publish
	closed bool
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
	return &sending{Context: ctx, callback: callback}
}

func newAsyncPublisher(k *Kafka) (*asyncPublisher, error) {
	p := &asyncPublisher{
		partitions: k.Partitions, most: asyncBuffer, patience: closePatience,
		flows: make([]flow, k.Partitions), log: k.Log, watched: make(chan struct{}),
	}
	dialer := connection.Dialer{Security: k.security, Near: k.Near, ClientID: clientID, Timeout: dialTimeout}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(k.Brokers...),
		kgo.ClientID(clientID),
		kgo.Dialer(func(_ context.Context, network, address string) (net.Conn, error) {
			return dialer.Dial(network, address)
		}),
		kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(retryPause),
		kgo.RetryBackoffFn(func(int) time.Duration { return retryPause }),
		kgo.RequestTimeoutOverhead(answerTimeout),
		kgo.ConnIdleTimeout(idleTimeout),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(eventlog.MaxMessage),
		kgo.MaxBufferedRecords(asyncBuffer+1), // Publish counts, so that no call waits
		kgo.RecordPartitioner(streamPartitioner{k.Partitions}),
		kgo.RecordDeliveryTimeout(deliveryTimeout),
		kgo.AllowIdempotentProduceCancellation(), // after an error Kafka may hold the message or not
		kgo.ProducerOnDataLossDetected(func(topic string, partition int32) {
			k.Log.Warn("Kafka has forgotten messages that it had acknowledged", "topic", topic, "partition", partition)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("open a producer: %w", err)
	}
	p.client = client
	ctx, cancel := context.WithTimeout(context.Background(), 2*dialTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("open a producer: %w", connection.Told(err))
	}
	go p.watch()
	return p, nil
}

// sending is a message under way: the context of the message, and then of the
// producer's record.
type sending struct {
	context.Context
	callback delivered
	refused  error // the partitioner's
	record   *sentRecord
}

// Value implements [context.Context]: a sending finds itself in the message's
// context.
func (s *sending) Value(key any) any {
	if key == (deliveredKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// sendingOf is the sending in a message's context: itself, if no other message
// has or can have it and no context ends, and otherwise a copy.
func sendingOf(msg *message.Message, only bool) (s *sending, itself bool) {
	given, _ := msg.Context().Value(deliveredKey{}).(*sending)
	if given != nil && only && given.Context == context.Background() && given.record == nil {
		return given, true
	}
	s = &sending{Context: context.Background()}
	if given != nil {
		s.callback = given.callback
	}
	return s, false
}

// Publish implements [message.Publisher].
func (p *asyncPublisher) Publish(topic string, msgs ...*message.Message) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if p.closed {
		return errTooLate
	}
	for _, msg := range msgs {
		record, err := recordToKafka(topic, msg)
		if err != nil {
			return err
		}
		if p.underWay.Add(1) > p.most {
			p.underWay.Add(-1)
			return errFull
		}
		record.Partition = eventlog.PartitionOf(msg.Metadata[eventlog.HeaderSubject], p.partitions)
		s, itself := sendingOf(msg, len(msgs) == 1)
		s.record, record.Context = record, s
		p.flows[record.Partition].begin()
		p.results.Add(1)
		p.client.TryProduce(s, &record.Record, p.finish)
		if itself {
			forget(msg) // a bus has made the message, and is done with it
		}
	}
	return nil
}

// finish calls the callback of a message under way, with the result.
func (p *asyncPublisher) finish(record *kgo.Record, err error) {
	defer p.results.Done()
	p.underWay.Add(-1)
	s, _ := record.Context.(*sending)
	p.flows[eventlog.PartitionOf(string(record.Key), p.partitions)].finish()
	switch {
	case s.refused != nil:
		err = s.refused
	case errors.Is(err, kgo.ErrClientClosed):
		err = errClosed
	case errors.Is(err, kgo.ErrMaxBuffered):
		err = errFull
	}
	at := Place{record.Partition, record.Offset}
	s.record.done()
	if s.callback != nil {
		s.callback(at, connection.Told(err))
	}
}

// Close sends the messages under way and calls their callbacks. Close waits for
// brokers for the publisher's patience only. Then the remaining callbacks get an
// error, because Kafka may hold those messages or not.
func (p *asyncPublisher) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.mu.Unlock()
	close(p.watched)
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	err := p.client.Flush(ctx)
	rest := p.underWay.Load()
	p.client.Close()
	p.results.Wait()
	if err != nil {
		return fmt.Errorf("closed a producer with %d messages that a broker may have or not", rest)
	}
	return nil
}

const (
	// hangs is the wait without an answer that is worth a line: the producer
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
		if n, longest := p.waiting(); longest >= hangs {
			sampler.Warn(p.log, "messages wait for Kafka, which has neither taken nor refused any", "messages", n, "for", longest.Round(time.Second).String())
		}
	}
}

// waiting returns the number of messages under way, and the longest wait of a
// partition.
func (p *asyncPublisher) waiting() (n int, longest time.Duration) {
	for i := range p.flows {
		f := &p.flows[i]
		f.mu.Lock()
		if n += f.underWay; f.underWay > 0 {
			longest = max(longest, time.Since(f.since))
		}
		f.mu.Unlock()
	}
	return n, longest
}

// flow has the messages under way to a partition.
type flow struct {
	mu       sync.Mutex
	underWay int
	since    time.Time // of the last result, or of the first message under way
}

func (f *flow) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.underWay++; f.underWay == 1 {
		f.since = time.Now()
	}
}

func (f *flow) finish() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.underWay--
	f.since = time.Now()
}
