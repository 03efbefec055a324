package messaging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/IBM/sarama"
	"golang.org/x/sync/errgroup"
)

// ErrOffsetGone is returned when the log no longer has, or never had, the
// offset that a fold goes on from: it was trimmed, cut, or made anew.
var ErrOffsetGone = errors.New("the log does not have this offset")

// maxRead bounds the records handed over at once.
const maxRead = 1000

// reader reads partitions of a topic straight from Kafka, in bulk, belonging
// to no consumer group.
type reader struct {
	log      *slog.Logger
	topic    string
	client   sarama.Client
	consumer sarama.Consumer
}

func (k *Kafka) reader(topic string) (*reader, error) {
	client, err := sarama.NewClient(k.Brokers, k.sarama())
	if err != nil {
		return nil, fmt.Errorf("open a reader of %s: %w", topic, err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("open a reader of %s: %w", topic, err)
	}
	return &reader{log: k.Log, topic: k.Topic(topic), client: client, consumer: consumer}, nil
}

// Close ends all reads.
func (r *reader) Close() error {
	return errors.Join(r.consumer.Close(), r.client.Close())
}

// End is the offset after the last message of a partition.
func (r *reader) End(ctx context.Context, partition int32) (int64, error) {
	return r.offset(ctx, partition, sarama.OffsetNewest)
}

// start is the offset of the first message of a partition that is still there.
func (r *reader) start(ctx context.Context, partition int32) (int64, error) {
	return r.offset(ctx, partition, sarama.OffsetOldest)
}

func (r *reader) offset(ctx context.Context, partition int32, which int64) (int64, error) {
	var at int64
	err := within(ctx, func() (err error) {
		at, err = r.client.GetOffset(r.topic, partition, which)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("offsets of partition %d of %s: %w", partition, r.topic, err)
	}
	return at, nil
}

// follow hands over the messages of a partition, from an offset on, as they
// come, up to 1,000 at once, until the context ends. Brokers that are away
// are waited for. It returns the context's error, that of fn, or
// [ErrOffsetGone].
func (r *reader) follow(ctx context.Context, partition int32, from int64, fn func([]*sarama.ConsumerMessage) error) error {
	consumer, err := r.consumer.ConsumePartition(r.topic, partition, from)
	if err != nil {
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("partition %d of %s, offset %d: %w", partition, r.topic, from, ErrOffsetGone)
		}
		return fmt.Errorf("read partition %d of %s: %w", partition, r.topic, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops errgroup.Group
	loops.Go(func() error {
		defer cancel()
		return r.errorsOf(consumer, partition)
	})
	err = r.consume(ctx, consumer, fn)
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
func (r *reader) errorsOf(consumer sarama.PartitionConsumer, partition int32) error {
	for e := range consumer.Errors() {
		if errors.Is(e.Err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("partition %d of %s: %w", partition, r.topic, ErrOffsetGone)
		}
		r.log.Debug("reading", "topic", r.topic, "partition", partition, "error", e.Err)
	}
	return nil
}

func (r *reader) consume(ctx context.Context, consumer sarama.PartitionConsumer, fn func([]*sarama.ConsumerMessage) error) error {
	batch := make([]*sarama.ConsumerMessage, 0, maxRead)
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-consumer.Messages():
			if !ok {
				return fmt.Errorf("reading %s ended", r.topic)
			}
			batch = append(batch, m)
		}
		if err := fn(fill(batch, consumer.Messages())); err != nil {
			return err
		}
	}
}

// fill adds what is there already.
func fill(batch []*sarama.ConsumerMessage, from <-chan *sarama.ConsumerMessage) []*sarama.ConsumerMessage {
	for len(batch) < cap(batch) {
		select {
		case m, ok := <-from:
			if !ok {
				return batch
			}
			batch = append(batch, m)
		default:
			return batch
		}
	}
	return batch
}

// LogReader reads topic events in bulk. It serves folds that every process
// does for itself.
type LogReader struct {
	*reader
	partitions int32
}

// LogReader opens a reader of the log.
func (k *Kafka) LogReader() (*LogReader, error) {
	r, err := k.reader(TopicEvents)
	if err != nil {
		return nil, err
	}
	return &LogReader{r, k.Partitions}, nil
}

// Follow hands over the records of a partition, from an offset on, as they
// come, up to 1,000 at once, until the context ends. Brokers that are away
// are waited for. It returns the context's error, that of fn, or
// [ErrOffsetGone].
func (r *LogReader) Follow(ctx context.Context, partition int32, from int64, fn func([]Record) error) error {
	records := make([]Record, 0, maxRead)
	return r.follow(ctx, partition, from, func(messages []*sarama.ConsumerMessage) error {
		records = records[:0]
		for _, m := range messages {
			records = append(records, decodeRecord(rawFromKafka(m), r.partitions))
		}
		return fn(records)
	})
}

// At returns the record at an offset, or [ErrOffsetGone].
func (r *LogReader) At(ctx context.Context, partition int32, offset int64) (at Record, err error) {
	found := errors.New("found")
	err = r.Follow(ctx, partition, offset, func(records []Record) error {
		at = records[0]
		return found
	})
	if errors.Is(err, found) {
		return at, nil
	}
	return at, err
}
