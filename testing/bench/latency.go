package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// latencyFor is the length of a run.
	latencyFor = 2 * time.Second
	// latencyRuns is the number of runs of each rate. The median counts.
	latencyRuns = 5
)

// linger is how long a read model waits for more records, by default.
var linger = config.Default().QueryService.BatchLinger

// latency is the time from a POST until the command is visible, at fixed rates: the
// next command doesn't wait for the last command. A command is visible when GET with
// the command's position answers. The limit is the linger, and four times (p50) or
// ten times (p99) the time of a message from a producer to a consumer on the same
// broker.
func latency(ctx context.Context, _ *bench) (rows []row, err error) {
	err = inFolder(func(dir string) error {
		t, urls, err := startMillrace(ctx, dir)
		if err != nil {
			return err
		}
		defer t.stop()
		trip, err := newRoundTrip(logAt(dir, urls))
		if err != nil {
			return err
		}
		defer trip.close()
		user := int64(0)
		for _, perSecond := range []int{200, 1000} {
			var visible, bare [2][]float64 // p50 and p99
			for range latencyRuns {
				client := newClient(perSecond) // an open loop waits for no connection
				took, err := openLoop(ctx, perSecond, func(ctx context.Context, n int64) error {
					return postAndRead(ctx, client, t.url, urls["queries"], user+n)
				})
				if err != nil {
					return err
				}
				user += int64(len(took))
				limit, err := openLoop(ctx, perSecond, trip.once)
				if err != nil {
					return err
				}
				client.CloseIdleConnections()
				for i, q := range []float64{0.5, 0.99} {
					visible[i] = append(visible[i], quantile(took, q))
					bare[i] = append(bare[i], quantile(limit, q))
				}
			}
			for i, q := range []struct {
				name  string
				times float64
			}{{"p50", 4}, {"p99", 10}} {
				ours, trips := median(visible[i]), median(bare[i])
				limit := q.times*trips + linger.Seconds()*1000
				rows = append(rows, row{
					fmt.Sprintf("POST to visible, %d/s, %s", perSecond, q.name), fmt.Sprintf("%.1f ms", ours),
					fmt.Sprintf("%.0f round trips of %.1f ms, and linger: %.1f ms", q.times, trips, limit), ours / limit, "≤ 1",
				})
			}
		}
		return nil
	})
	return rows, err
}

// openLoop calls do at a fixed rate for latencyFor, and returns the time of each call
// from its due time, in ms.
func openLoop(ctx context.Context, perSecond int, do func(ctx context.Context, n int64) error) ([]float64, error) {
	took := make([]float64, int(latencyFor.Seconds()*float64(perSecond)))
	work, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for i := range took {
		at := began.Add(time.Duration(i) * time.Second / time.Duration(perSecond))
		time.Sleep(time.Until(at))
		work.Go(func() error {
			err := do(ctx, int64(i)+1)
			took[i] = time.Since(at).Seconds() * 1000
			return err
		})
	}
	return took, work.Wait()
}

// postAndRead creates a user, and reads the user.
func postAndRead(ctx context.Context, client *http.Client, commands, queries string, user int64) error {
	position, err := post(ctx, client, commands, user)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/users/%d", queries, user), http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("Read-After", position)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body) // keeps the connection
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("user %d: %s", user, response.Status)
	}
	return nil
}

// roundTrip sends bare messages through a broker, and consumes the messages.
type roundTrip struct {
	topic    string
	producer sarama.SyncProducer
	consumer sarama.Consumer
	messages sarama.PartitionConsumer

	mu      sync.Mutex
	waiting map[int64]chan struct{} // by offset: closed when the message has come
}

func newRoundTrip(k *kafka.Kafka) (r *roundTrip, err error) {
	config := sarama.NewConfig()
	config.Version = sarama.V2_8_0_0
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Return.Successes = true
	admin, err := sarama.NewClusterAdmin(k.Brokers, config)
	if err != nil {
		return nil, err
	}
	r = &roundTrip{topic: k.Topic("round-trip"), waiting: map[int64]chan struct{}{}}
	err = admin.CreateTopic(r.topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	if err = errors.Join(err, admin.Close()); err != nil {
		return nil, err
	}
	if r.producer, err = sarama.NewSyncProducer(k.Brokers, config); err != nil {
		return nil, err
	}
	if r.consumer, err = sarama.NewConsumer(k.Brokers, config); err != nil {
		return nil, err
	}
	if r.messages, err = r.consumer.ConsumePartition(r.topic, 0, sarama.OffsetOldest); err != nil {
		return nil, err
	}
	go func() {
		for m := range r.messages.Messages() {
			close(r.at(m.Offset))
		}
	}()
	return r, nil
}

func (r *roundTrip) at(offset int64) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting[offset] == nil {
		r.waiting[offset] = make(chan struct{})
	}
	return r.waiting[offset]
}

func (r *roundTrip) once(ctx context.Context, _ int64) error {
	_, offset, err := r.producer.SendMessage(&sarama.ProducerMessage{Topic: r.topic, Value: sarama.StringEncoder("a message as long as a command is, or some such")})
	if err != nil {
		return err
	}
	select {
	case <-r.at(offset):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *roundTrip) close() {
	_ = errors.Join(r.producer.Close(), r.messages.Close(), r.consumer.Close()) // all is measured
}

func quantile(of []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[int(q*float64(len(sorted)-1))]
}
