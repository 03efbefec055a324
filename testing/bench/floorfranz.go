package main

import (
	"context"
	"fmt"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/kafka"
)

// franzFloor is the floor's client by franz-go: an idempotent producer without a
// linger, and consumers without a group.
type franzFloor struct {
	log       *kafka.Kafka
	producer  *kgo.Client
	consumers []*kgo.Client
	reading   sync.WaitGroup
}

func newFranz(log *kafka.Kafka) (floorClient, error) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(log.Brokers...), kgo.RequiredAcks(kgo.AllISRAcks()),
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
	consumer, err := kgo.NewClient(kgo.SeedBrokers(f.log.Brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
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
