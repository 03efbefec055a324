package messaging

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
)

// ErrOffsetGone is returned when the log no longer has, or never had, the
// offset that a fold goes on from: it was trimmed, cut, or made anew.
var ErrOffsetGone = errors.New("the log does not have this offset")

// maxRead bounds the records handed over at once.
const maxRead = 1000

// LogReader reads topic events straight from Kafka, in bulk, belonging to no
// consumer group. It serves folds that every process does for itself.
type LogReader struct {
	kafka    *Kafka
	topic    string
	client   sarama.Client
	consumer sarama.Consumer
}

// LogReader opens a reader.
func (k *Kafka) LogReader() (*LogReader, error) {
	client, err := sarama.NewClient(k.Brokers, k.sarama())
	if err != nil {
		return nil, fmt.Errorf("open a log reader: %w", err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("open a log reader: %w", err)
	}
	return &LogReader{kafka: k, topic: k.Topic(TopicEvents), client: client, consumer: consumer}, nil
}

// Close ends all reads.
func (r *LogReader) Close() error {
	return errors.Join(r.consumer.Close(), r.client.Close())
}

// End is the offset after the last record of a partition.
func (r *LogReader) End(ctx context.Context, partition int32) (end int64, err error) {
	err = within(ctx, func() error {
		end, err = r.client.GetOffset(r.topic, partition, sarama.OffsetNewest)
		if err != nil {
			return fmt.Errorf("end of partition %d of %s: %w", partition, r.topic, err)
		}
		return nil
	})
	return end, err
}

// At returns the record at an offset, or [ErrOffsetGone].
func (r *LogReader) At(ctx context.Context, partition int32, offset int64) (at Record, err error) {
	found := errors.New("found")
	err = r.Follow(ctx, partition, offset, func(records []Record) error {
		at = records[0]
		return found
	})
	if !errors.Is(err, found) {
		return at, err
	}
	return at, nil
}

// Follow hands over the records of a partition, from an offset on, as they
// come, up to 1,000 at once, until the context ends. Brokers that are away
// are waited for. It returns the context's error, that of fn, or
// [ErrOffsetGone].
func (r *LogReader) Follow(ctx context.Context, partition int32, from int64, fn func([]Record) error) error {
	consumer, err := r.consumer.ConsumePartition(r.topic, partition, from)
	if err != nil {
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("partition %d of %s, offset %d: %w", partition, r.topic, from, ErrOffsetGone)
		}
		return fmt.Errorf("read partition %d of %s: %w", partition, r.topic, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var loops errgroup.Group
	loops.Go(func() error {
		defer cancel()
		return r.errorsOf(consumer, partition)
	})
	err = r.follow(ctx, consumer, fn)
	cancel()
	consumer.AsyncClose()
	for range consumer.Messages() { //nolint:revive // sarama wants it emptied
	}
	if gone := loops.Wait(); gone != nil {
		return gone
	}
	return err
}

// errorsOf logs what passes, and returns what doesn't.
func (r *LogReader) errorsOf(consumer sarama.PartitionConsumer, partition int32) error {
	for e := range consumer.Errors() {
		if errors.Is(e.Err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("partition %d of %s: %w", partition, r.topic, ErrOffsetGone)
		}
		r.kafka.Log.Debug("reading the log", "partition", partition, "error", e.Err)
	}
	return nil
}

func (r *LogReader) follow(ctx context.Context, consumer sarama.PartitionConsumer, fn func([]Record) error) error {
	records := make([]Record, 0, maxRead)
	for {
		records = records[:0]
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-consumer.Messages():
			if !ok {
				return fmt.Errorf("reading %s ended", r.topic)
			}
			records = append(records, decodeRecord(rawFromKafka(m), r.kafka.Partitions))
		}
		records = drain(records, consumer, r.kafka.Partitions)
		if err := fn(records); err != nil {
			return err
		}
	}
}

// drain adds what is there already.
func drain(records []Record, consumer sarama.PartitionConsumer, partitions int32) []Record {
	for len(records) < cap(records) {
		select {
		case m, ok := <-consumer.Messages():
			if !ok {
				return records
			}
			records = append(records, decodeRecord(rawFromKafka(m), partitions))
		default:
			return records
		}
	}
	return records
}
