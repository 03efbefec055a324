package messaging

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill-kafka/v3/pkg/kafka"
	"github.com/ThreeDotsLabs/watermill/message"
)

// Subscription is a subscriber of a consumer group. Closed the plain way,
// watermill-kafka ends the contexts of messages under way and forgets their
// acks: work done is done again. This one drains.
type Subscription struct {
	inner message.Subscriber
	group *membership
	drain time.Duration
	log   *slog.Logger

	stop     sync.Once
	stopping chan struct{}
	relays   sync.WaitGroup
	closed   error
}

var _ message.Subscriber = (*Subscription)(nil)

// Subscription returns a subscriber of a consumer group. The handler is told of
// each partition it claims, and decides where to start and what is done.
// Closing waits for messages out at handlers to be acked, for up to drain.
func (k *Kafka) Subscription(group string, handler ClaimHandler, drain time.Duration) (*Subscription, error) {
	member := &membership{handler: handler, partitions: k.Partitions, log: k.Log.With("group", group)}
	inner, err := kafka.NewSubscriber(kafka.SubscriberConfig{
		Brokers:               k.Brokers,
		Unmarshaler:           KafkaMarshaler{},
		OverwriteSaramaConfig: k.sarama(),
		ConsumerGroup:         group,
		Tracer:                claims{member},
	}, WatermillLog(k.Log))
	if err != nil {
		return nil, fmt.Errorf("subscribe as %s: %w", group, err)
	}
	return &Subscription{inner: inner, group: member, drain: drain, log: k.Log, stopping: make(chan struct{})}, nil
}

// Ready says why the group has not assigned partitions to this process, or
// nil.
func (d *Subscription) Ready() error { return d.group.ready() }

// Subscribe implements [message.Subscriber]. The context does not end the
// subscription: Close does. Brokers that are away are waited for: a router
// that can't subscribe would end for good.
func (d *Subscription) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	ctx = context.WithoutCancel(ctx)
	to := make(chan *message.Message)
	d.relays.Go(func() {
		defer close(to)
		if from := d.subscribe(ctx, topic); from != nil {
			d.relay(from, to)
		}
	})
	return to, nil
}

// subscribe tries until it works, or returns nil when it is to stop.
func (d *Subscription) subscribe(ctx context.Context, topic string) <-chan *message.Message {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-d.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	for try := 0; ; try++ {
		from, err := d.inner.Subscribe(context.WithoutCancel(ctx), topic)
		if err == nil {
			return from
		}
		d.group.failed(err)
		if Backoff(ctx, try) != nil {
			return nil
		}
	}
}

// relay passes messages on until it is to stop, and then waits for those that
// are out.
func (d *Subscription) relay(from <-chan *message.Message, to chan<- *message.Message) {
	out := outstanding{}
	defer func() { out.wait(d.drain, d.log) }()
	for {
		select {
		case <-d.stopping:
			return
		case msg, ok := <-from:
			if !ok {
				return
			}
			partition := PlaceOf(msg).Partition // before a handler has it, and its context
			select {
			case to <- msg:
				out[partition] = msg
			case <-d.stopping: // not acked: it comes again, to whoever is next
				return
			}
		}
	}
}

// Close implements [message.Subscriber]: it takes no more messages, waits for
// those out at handlers, and only then leaves the group.
func (d *Subscription) Close() error {
	d.stop.Do(func() {
		close(d.stopping)
		d.relays.Wait()
		d.closed = d.inner.Close()
	})
	return d.closed
}

// outstanding are the last messages of each partition: there is never more
// than one that is not acked.
type outstanding map[int32]*message.Message

func (o outstanding) wait(limit time.Duration, log *slog.Logger) {
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	for partition, msg := range o {
		select {
		case <-msg.Acked():
		case <-msg.Nacked():
		case <-timeout.C:
			log.Warn("closing with a message still at work", "partition", partition, "after", limit)
			return
		}
	}
}
