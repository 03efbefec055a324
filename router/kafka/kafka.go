package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka/connection"
)

// Kafka has the settings of the cluster with the log. A method that opens a
// connection returns an error when the brokers are away, and does not wait.
type Kafka struct {
	Brokers     []string // host:port
	Partitions  int32    // of each topic
	Replication int16    // of new topics, and the minimum of existing topics
	Security    connection.Security
	// Renewed returns the security with all files read again, for each connection;
	// nil means that Security never changes.
	Renewed func() (connection.Security, error)
	// Near, if not nil, opens a connection to a broker of this process, and returns
	// nil for other addresses.
	Near   func(address string) net.Conn
	Prefix string // in front of the names of topics and groups
	Log    *slog.Logger
}

// Topic returns a topic's name on this cluster.
func (k *Kafka) Topic(name string) string { return k.Prefix + name }

// Group returns a consumer group's name on this cluster: "millrace.<role>", and
// "millrace.<role>.<read model>" for a query service.
func (k *Kafka) Group(parts ...string) string {
	return k.Prefix + "millrace." + strings.Join(parts, ".")
}

// retryMax is the number of the producer's retries, about 10 seconds in all,
// before a message counts as failed.
const retryMax = 50

// clientID names Millrace's clients to brokers.
const clientID = "millrace"

const (
	// dialTimeout is the limit for opening a connection.
	dialTimeout = 5 * time.Second
	// idleTimeout is the age of a connection without requests. Brokers end such
	// connections after 10 minutes.
	idleTimeout = 9 * time.Minute
)

// sarama returns the client's settings, all in one place. Most defaults of
// sarama would lose or reorder messages.
func (k *Kafka) sarama() *sarama.Config {
	c := sarama.NewConfig()
	c.ClientID = clientID
	c.MetricRegistry = connection.Unmeasured{}
	c.Version = sarama.V2_8_0_0 // topic ids (KIP-516)
	c.Metadata.AllowAutoTopicCreation = false
	c.Metadata.Retry.Max = 3
	c.Net.DialTimeout = dialTimeout

	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.MaxMessageBytes = eventlog.MaxMessage // of a batch too
	c.Producer.Idempotent = true
	c.Net.MaxOpenRequests = 1 // a condition of sarama's idempotent producer
	c.Producer.Retry.Max = retryMax
	c.Producer.Retry.Backoff = 200 * time.Millisecond
	c.Producer.Return.Successes = true
	c.Producer.Return.Errors = true
	c.Producer.Partitioner = newPartitioner(k.Partitions)

	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Group.ResetInvalidOffsets = true // to the oldest; otherwise the partition would be stuck
	c.Consumer.Group.Session.Timeout = 6 * time.Second
	c.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	c.Consumer.Group.Rebalance.Timeout = 10 * time.Second
	c.Consumer.MaxWaitTime = 100 * time.Millisecond
	c.Consumer.Return.Errors = true

	c.Net.Proxy.Enable = true
	c.Net.Proxy.Dialer = connection.Dialer{Security: k.security, Near: k.Near, ClientID: clientID, Timeout: c.Net.DialTimeout}
	return c
}

// security returns the settings of the moment.
func (k *Kafka) security() (connection.Security, error) {
	if k.Renewed == nil {
		return k.Security, nil
	}
	return k.Renewed()
}

// client opens a client.
func (k *Kafka) client() (sarama.Client, error) {
	client, err := sarama.NewClient(k.Brokers, k.sarama())
	return client, connection.Told(err)
}

// clusterAdmin opens an administrator's client.
func (k *Kafka) clusterAdmin() (sarama.ClusterAdmin, error) {
	admin, err := sarama.NewClusterAdmin(k.Brokers, k.sarama())
	return admin, connection.Told(err)
}

// Ping connects to a broker and reads metadata.
func (k *Kafka) Ping(ctx context.Context) error {
	return within(ctx, func() error {
		client, err := k.client()
		if err != nil {
			return fmt.Errorf("kafka at %s: %w", strings.Join(k.Brokers, ", "), err)
		}
		return client.Close()
	})
}

// answerWithin runs fn, a function without a context, and returns fn's results,
// or the context's error when the context ends first: then fn goes on in the
// background. Therefore fn must write no variable of the caller.
func answerWithin[T any](ctx context.Context, fn func() (T, error)) (T, error) {
	type results struct {
		answer T
		err    error
	}
	done := make(chan results, 1)
	go func() {
		answer, err := fn()
		done <- results{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// openWithin is like [answerWithin], for something that somebody must close: what
// open returns after the context's end is closed in the background.
func openWithin[T io.Closer](ctx context.Context, open func() (T, error)) (T, error) {
	type results struct {
		opened T
		err    error
	}
	done, gone := make(chan results), make(chan struct{})
	go func() {
		opened, err := open()
		select {
		case done <- results{opened, err}:
		case <-gone:
			if err == nil {
				_ = opened.Close()
			}
		}
	}()
	select {
	case r := <-done:
		return r.opened, r.err
	case <-ctx.Done():
		close(gone)
		var none T
		return none, ctx.Err()
	}
}

// within is like [answerWithin], for a function without an answer.
func within(ctx context.Context, fn func() error) error {
	_, err := answerWithin(ctx, func() (struct{}, error) { return struct{}{}, fn() })
	return err
}

// givenUp runs fn and returns fn's error, or errHangs after a while: then fn
// goes on in the background. Close methods use givenUp, because a client's own
// Close may wait for a broker that hangs.
func givenUp(after time.Duration, fn func() error) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), after, errHangs)
	defer cancel()
	if err := within(ctx, fn); err == nil || ctx.Err() == nil {
		return err
	}
	return context.Cause(ctx)
}

var errHangs = errors.New("gave up waiting for a broker that doesn't answer")

// Backoff waits before another try: 100 ms after try 0, twice as long each time,
// up to 5 s. Backoff returns the context's error if the context ends first.
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
