package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

// Kafka is where and how the log is kept. The methods that open something on
// it all wait for nobody: when the brokers are away, they return an error.
type Kafka struct {
	Brokers     []string
	Partitions  int32 // of topics commands and events
	Replication int16 // of topics that are created, and the least of those that exist
	Security    Security
	Prefix      string // before the names of topics and groups
	// Producers is how many share the partitions of what is published without
	// waiting; 0 is one. sarama's idempotent producer has one request on its way
	// to a broker, and sends what comes for its partitions meanwhile in several,
	// one after the other: where a round trip takes long, with twelve partitions,
	// each waits for five others.
	Producers int
	Log       *slog.Logger
}

// Topic is a topic's name on this cluster.
func (k *Kafka) Topic(name string) string { return k.Prefix + name }

// Group is a consumer group's name on this cluster: "millrace.<role>", and
// for a query service one a read model.
func (k *Kafka) Group(parts ...string) string {
	return k.Prefix + "millrace." + strings.Join(parts, ".")
}

// retryMax times the producer tries again, some 10 seconds in all, before a
// message counts as failed.
const retryMax = 50

// linger is how long the producer gathers messages for a request. Sent one by
// one, in twelve partitions, each would be a batch of its own, at several times
// the cost. (Kafka's own producer waits for 5 ms since 4.0, KIP-1030.)
const linger = 2 * time.Millisecond

// sarama is the one place for the client's settings. Most of its defaults
// would lose or reorder messages.
func (k *Kafka) sarama() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = "millrace"
	c.MetricRegistry = unmeasured{}
	c.Version = sarama.V2_8_0_0 // topic ids (KIP-516)
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.Retry.Max = 3
	c.Net.DialTimeout = 5 * time.Second

	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // what sarama's idempotent producer needs
	c.Producer.Retry.Max = retryMax
	c.Producer.Retry.Backoff = 200 * time.Millisecond
	c.Producer.Flush.Frequency = linger
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Producer.Partitioner = newPartitioner(k.Partitions)

	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.ResetInvalidOffsets = true // to the oldest: the partition would be stuck
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Consumer.Return.Errors = true

	k.Security.secure(c)
	return c
}

// Ping asks a broker for the topic's metadata.
func (k *Kafka) Ping(ctx context.Context) error {
	return within(ctx, func() error {
		client, err := sarama.NewClient(k.Brokers, k.sarama())
		if err != nil {
			return fmt.Errorf("kafka at %s: %w", strings.Join(k.Brokers, ", "), err)
		}
		return client.Close()
	})
}

// within runs fn, which knows no context, and gives up waiting for it when
// the context ends. What fn leaves behind may be read only after it returned.
func within(ctx context.Context, fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// givenUp is fn's error, or that it took too long: then it goes on by itself. It
// is for closing what may wait for a broker that hangs.
func givenUp(after time.Duration, fn func() error) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), after, errHangs)
	defer cancel()
	if err := within(ctx, fn); err == nil || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

var errHangs = errors.New("gave up waiting for a broker that doesn't answer")

// Reached waits until a count has come to a target, or the context ends.
func Reached(ctx context.Context, target int64, count func() int64) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for count() < target {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// Backoff waits before another try, longer each time up to 5 s, or until the
// context ends.
func Backoff(ctx context.Context, try int) error {
	wait := min(100*time.Millisecond<<min(try, 6), 5*time.Second)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
