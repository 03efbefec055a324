package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/IBM/sarama"
	"github.com/rcrowley/go-metrics"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/kafka/connection"
)

// saramaLinger is how long a producer with a linger gathers messages for a request.
const saramaLinger = 2 * time.Millisecond

// saramaFloor is the floor's client by sarama: an idempotent producer, and consumers
// without a group.
type saramaFloor struct {
	log       *kafka.Kafka
	config    *sarama.Config
	producer  sarama.AsyncProducer
	consumers []sarama.Consumer // a consumer for each topic: the topics of a consumer wait for each other
	readers   []sarama.PartitionConsumer
	running   errgroup.Group
}

func newSarama(linger time.Duration) func(*kafka.Kafka) (floorClient, error) {
	return func(log *kafka.Kafka) (floorClient, error) {
		metrics.UseNilMetrics = true
		config := sarama.NewConfig()
		config.Version = sarama.V2_8_0_0
		config.Producer.RequiredAcks = sarama.WaitForAll
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
		config.Producer.Flush.Frequency = linger
		config.Producer.Return.Successes = true
		config.ChannelBufferSize = 1 << 12
		config.Net.Proxy.Enable, config.Net.Proxy.Dialer = true, dialerOf(log)
		producer, err := sarama.NewAsyncProducer(log.Brokers, config)
		if err != nil {
			return nil, err
		}
		f := &saramaFloor{log: log, config: config, producer: producer}
		told := func(m *sarama.ProducerMessage, err error) {
			if sent, ok := m.Metadata.(func(error)); ok && sent != nil {
				sent(err)
			}
		}
		f.running.Go(func() error {
			for m := range producer.Successes() {
				told(m, nil)
			}
			return nil
		})
		f.running.Go(func() (failed error) {
			for e := range producer.Errors() {
				failed = e
				told(e.Msg, e.Err)
			}
			return failed
		})
		return f, nil
	}
}

// dialerOf reaches an embedded broker in memory, as Millrace does.
func dialerOf(log *kafka.Kafka) connection.Dialer {
	return connection.Dialer{
		Security: func() (connection.Security, error) { return log.Security, nil },
		Near:     log.Near, Timeout: dialTimeout,
	}
}

// dialTimeout is the limit for opening a connection.
const dialTimeout = 5 * time.Second

func franzDialer(log *kafka.Kafka) kgo.Opt {
	dialer := dialerOf(log)
	return kgo.Dialer(func(_ context.Context, network, address string) (net.Conn, error) {
		return dialer.Dial(network, address)
	})
}

// send implements [floorClient].
func (f *saramaFloor) send(topic string, key, value []byte, sent func(error)) {
	f.producer.Input() <- &sarama.ProducerMessage{Topic: topic, Key: sarama.ByteEncoder(key), Value: sarama.ByteEncoder(value), Metadata: sent}
}

// read implements [floorClient].
func (f *saramaFloor) read(topic string, fn func(key, value []byte) error) error {
	consumer, err := sarama.NewConsumer(f.log.Brokers, f.config)
	if err != nil {
		return err
	}
	f.consumers = append(f.consumers, consumer)
	for partition := range f.log.Partitions {
		reader, err := consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		if err != nil {
			return err
		}
		f.readers = append(f.readers, reader)
		f.running.Go(func() error {
			for m := range reader.Messages() {
				if err := fn(m.Key, m.Value); err != nil {
					fmt.Fprintln(os.Stderr, err) // the bench waits for the message in vain
					return err
				}
			}
			return nil
		})
	}
	return nil
}

// close implements [floorClient].
func (f *saramaFloor) close() (failed error) {
	for _, r := range f.readers {
		failed = errors.Join(failed, r.Close())
	}
	for _, c := range f.consumers {
		failed = errors.Join(failed, c.Close())
	}
	f.producer.AsyncClose()
	return errors.Join(failed, f.running.Wait())
}

// franzFloor is the floor's client by franz-go: an idempotent producer without a
// linger, and consumers without a group.
type franzFloor struct {
	log       *kafka.Kafka
	producer  *kgo.Client
	consumers []*kgo.Client
	reading   sync.WaitGroup
}

func newFranz(log *kafka.Kafka) (floorClient, error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(log.Brokers...), franzDialer(log), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	return &franzFloor{log: log, producer: producer}, nil
}

// send implements [floorClient].
func (f *franzFloor) send(topic string, key, value []byte, sent func(error)) {
	f.producer.Produce(context.Background(), &kgo.Record{Topic: topic, Key: key, Value: value}, func(_ *kgo.Record, err error) {
		if sent != nil {
			sent(err)
		}
	})
}

// read implements [floorClient].
func (f *franzFloor) read(topic string, fn func(key, value []byte) error) error {
	consumer, err := kgo.NewClient(kgo.SeedBrokers(f.log.Brokers...), franzDialer(f.log), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return err
	}
	f.consumers = append(f.consumers, consumer)
	f.reading.Go(func() {
		for {
			fetches := consumer.PollFetches(context.Background())
			if fetches.IsClientClosed() {
				return
			}
			fetches.EachRecord(func(r *kgo.Record) {
				if err := fn(r.Key, r.Value); err != nil {
					fmt.Fprintln(os.Stderr, err) // the bench waits for the message in vain
				}
			})
		}
	})
	return nil
}

// close implements [floorClient].
func (f *franzFloor) close() error {
	for _, c := range f.consumers {
		c.Close()
	}
	f.reading.Wait()
	f.producer.Close()
	return nil
}
