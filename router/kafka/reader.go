package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// ErrOffsetGone is returned when the topic doesn't have the offset to read from:
// the topic was trimmed, cut, or made anew.
var ErrOffsetGone = errors.New("the log does not have this offset")

// maxRead is the limit of messages for one call of a callback.
const maxRead = 1000

// reader reads partitions of a topic in bulk, outside of any consumer group.
type reader struct {
	log      *slog.Logger
	topic    string
	client   sarama.Client
	consumer sarama.Consumer
	ends     ends

	mu      sync.Mutex
	stopped context.Context // ends when the reader is closed
	stop    context.CancelFunc
	reads   sync.WaitGroup
	damaged map[int32]bool // partitions whose last read ended with an ErrDamaged
}

func (k *Kafka) reader(topic string) (*reader, error) {
	client, err := k.client()
	if err != nil {
		return nil, fmt.Errorf("open a reader of %s: %w", topic, err)
	}
	consumer, err := sarama.NewConsumerFromClient(client)
	if err != nil {
		_ = client.Close()
		return nil, fmt.Errorf("open a reader of %s: %w", topic, err)
	}
	stopped, stop := context.WithCancel(context.Background())
	return &reader{log: k.Log, topic: k.Topic(topic), client: client, consumer: consumer, stopped: stopped, stop: stop}, nil
}

// readPatience is the longest wait for a broker at the end of a read. Giving up
// loses nothing.
const readPatience = time.Second

// Close ends all reads, and doesn't wait for a broker that hangs.
func (r *reader) Close() error {
	r.mu.Lock()
	r.stop()
	r.mu.Unlock()
	r.reads.Wait()
	return givenUp(readPatience, func() error { return errors.Join(r.consumer.Close(), r.client.Close()) })
}

// begin starts a read. The returned context also ends when the reader is closed;
// end must be called after the read.
func (r *reader) begin(ctx context.Context) (reading context.Context, end func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped.Err() != nil {
		return nil, nil, errClosed
	}
	r.reads.Add(1)
	reading, cancel := context.WithCancelCause(ctx)
	detach := context.AfterFunc(r.stopped, func() { cancel(errClosed) })
	return reading, func() {
		detach()
		cancel(nil)
		r.reads.Done()
	}, nil
}

// End returns the offset behind the last message of a partition that a read will
// deliver. A partition without messages ends at its start. Transactions' markers
// and other offsets without a message at the end of a partition don't count.
func (r *reader) End(ctx context.Context, partition int32) (int64, error) {
	end, err := answerWithin(ctx, func() (int64, error) { return r.ends.of(ctx, r.client, r.topic, partition) })
	if err != nil {
		return 0, fmt.Errorf("end of partition %d of %s: %w", partition, r.topic, err)
	}
	return end, nil
}

// newest returns the offset of a partition's next message.
func (r *reader) newest(ctx context.Context, partition int32) (int64, error) {
	return r.offset(ctx, partition, sarama.OffsetNewest)
}

// start returns the offset of the first message of a partition.
func (r *reader) start(ctx context.Context, partition int32) (int64, error) {
	return r.offset(ctx, partition, sarama.OffsetOldest)
}

func (r *reader) offset(ctx context.Context, partition int32, which int64) (int64, error) {
	at, err := answerWithin(ctx, func() (int64, error) { return offsetOf(ctx, r.client, r.topic, partition, which) })
	if err != nil {
		return 0, fmt.Errorf("offsets of partition %d of %s: %w", partition, r.topic, err)
	}
	return at, nil
}

// follow calls fn with the messages of a partition in log order, from offset
// from on, up to 1,000 at once, until the context ends. follow waits for brokers
// that are away. follow returns the context's cause, fn's first error,
// [ErrOffsetGone], or [ErrDamaged].
func (r *reader) follow(ctx context.Context, partition int32, from int64, fn func([]*sarama.ConsumerMessage) error) error {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return fmt.Errorf("read partition %d of %s: %w", partition, r.topic, err)
	}
	defer end()
	if err := r.probeAgain(ctx, partition, from); err != nil {
		return err
	}
	consumer, err := openWithin(ctx, func() (sarama.PartitionConsumer, error) {
		return r.consumer.ConsumePartition(r.topic, partition, from)
	})
	if err != nil {
		if errors.Is(err, sarama.ErrOffsetOutOfRange) {
			return fmt.Errorf("partition %d of %s, offset %d: %w", partition, r.topic, from, ErrOffsetGone)
		}
		return fmt.Errorf("read partition %d of %s: %w", partition, r.topic, err)
	}
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	var next atomic.Int64
	next.Store(from)
	go func() {
		defer cancel()
		ended <- r.errorsOf(consumer, partition, &next)
	}()
	err = r.consume(reading, consumer, partition, &next, fn)
	cancel()
	consumer.AsyncClose()
	go func() {
		for range consumer.Messages() { // sarama needs an empty channel to end
		}
	}()
	if gone := await(ctx, ended); gone != nil {
		return gone
	}
	return err
}

// await waits for the end of a read, and returns the read's error. After the
// context's end await gives up within readPatience, because a broker may hang.
func await(ctx context.Context, ended <-chan error) error {
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(readPatience):
		return nil
	}
}

// errorsOf logs errors that pass, and returns the first other error.
func (r *reader) errorsOf(consumer sarama.PartitionConsumer, partition int32, next *atomic.Int64) error {
	for e := range consumer.Errors() {
		if errors.Is(e.Err, sarama.ErrOffsetOutOfRange) {
			if err := r.probe(partition, next.Load()); err != nil { // sarama believes a damaged offset
				return err
			}
			return fmt.Errorf("partition %d of %s: %w", partition, r.topic, ErrOffsetGone)
		}
		if damaged(e.Err) {
			if err := r.probe(partition, next.Load()); err != nil {
				return err
			}
		}
		r.log.Debug("reading", "topic", r.topic, "partition", partition, "error", e.Err)
	}
	return nil
}

func (r *reader) consume(ctx context.Context, consumer sarama.PartitionConsumer, partition int32, next *atomic.Int64, fn func([]*sarama.ConsumerMessage) error) error {
	batch := make([]*sarama.ConsumerMessage, 0, maxRead)
	silence := time.NewTicker(silencePatience)
	defer silence.Stop()
	for {
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-silence.C:
			if next.Load() < consumer.HighWaterMarkOffset() {
				if err := within(ctx, func() error { return r.probe(partition, next.Load()) }); damaged(err) {
					return err
				}
			}
			continue
		case m, ok := <-consumer.Messages():
			if !ok {
				return fmt.Errorf("reading %s ended", r.topic)
			}
			batch = append(batch, m)
		}
		batch = fill(batch, consumer.Messages())
		if err := r.checkOffsets(ctx, batch, next.Load(), consumer.HighWaterMarkOffset()); err != nil {
			return err
		}
		next.Store(batch[len(batch)-1].Offset + 1)
		silence.Reset(silencePatience)
		err := fn(batch)
		clear(batch) // messages hold whole fetches
		if err != nil {
			return err
		}
	}
}

// fill adds the messages that are already in the channel, up to the capacity.
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

// LogReader reads topic events in bulk, for folds outside of a consumer group.
type LogReader struct {
	*reader
	partitions  int32
	deadLetters string // the topic
}

// LogReader opens a reader of the log.
func (k *Kafka) LogReader() (*LogReader, error) {
	r, err := k.reader(eventlog.TopicEvents)
	if err != nil {
		return nil, err
	}
	return &LogReader{r, k.Partitions, k.Topic(eventlog.TopicDeadLetters)}, nil
}

// Follow calls fn with the records of a partition in log order, from offset from
// on, up to 1,000 at once, until the context ends. Later calls reuse the slice,
// so fn must not keep the slice. Follow waits for brokers that are away. Follow
// returns the context's cause, fn's first error, [ErrOffsetGone], or
// [ErrDamaged].
func (r *LogReader) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	var records []eventlog.Record
	var headers []eventlog.Header
	return r.follow(ctx, partition, from, func(messages []*sarama.ConsumerMessage) error {
		records = records[:0]
		for _, m := range messages {
			raw := rawInto(headers, m)
			records, headers = append(records, eventlog.DecodeRecord(raw, r.partitions)), raw.Headers
		}
		err := fn(records)
		clear(records) // records hold whole fetches
		return err
	})
}

// Stamped is a record with the time when its producer sent the record, or the
// broker's time if the topic has message.timestamp.type=LogAppendTime.
type Stamped struct {
	eventlog.Record
	Appended time.Time
}

// Stream calls fn with the records that have a stream's key, from the start of
// the stream's partition to the end that the partition has now, some at once and
// in log order. fn also gets the number of offsets so far, and of all offsets of
// the partition, and may get no records. Stream returns as Follow does.
func (r *LogReader) Stream(ctx context.Context, stream string, fn func(records []Stamped, read, all int64) error) error {
	partition := eventlog.PartitionOf(stream, r.partitions)
	first, err := r.start(ctx, partition)
	if err != nil {
		return err
	}
	end, err := r.End(ctx, partition)
	if err != nil || first >= end {
		return err
	}
	err = r.follow(ctx, partition, first, func(messages []*sarama.ConsumerMessage) error {
		var records []Stamped
		for _, m := range messages {
			if m.Offset < end && string(m.Key) == stream {
				records = append(records, Stamped{eventlog.DecodeRecord(rawFromKafka(m), r.partitions), m.Timestamp})
			}
		}
		next := min(messages[len(messages)-1].Offset+1, end)
		if err := fn(records, next-first, end-first); err != nil || next < end {
			return err
		}
		return errEnd
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}

var errEnd = errors.New("the end of the partition")

// At returns the record at an offset, or [ErrOffsetGone]. Other reads of the
// partition may be under way.
func (r *LogReader) At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error) {
	at, err := r.StampedAt(ctx, partition, offset)
	return at.Record, err
}

// StampedAt is [LogReader.At] with the record's time.
func (r *LogReader) StampedAt(ctx context.Context, partition int32, offset int64) (Stamped, error) {
	m, err := r.at(ctx, partition, offset)
	if err != nil {
		return Stamped{}, err
	}
	return Stamped{eventlog.DecodeRecord(rawFromKafka(m), r.partitions), m.Timestamp}, nil
}

// fetch asks a partition's leader once for messages from an offset on; next is
// the offset behind the messages. At the partition's end fetch returns no
// messages. A sarama consumer would take a while to start and to end, and allows
// one read per partition.
func fetch(client sarama.Client, topic string, partition int32, offset int64, maxBytes int32) (messages []*sarama.ConsumerMessage, next int64, err error) {
	leader, err := client.Leader(topic, partition)
	if err != nil {
		return nil, 0, err
	}
	// Session epoch -1 is no session (KIP-227).
	request := &sarama.FetchRequest{Version: 11, MinBytes: 1, MaxBytes: maxBytes, SessionEpoch: -1}
	request.AddBlock(topic, partition, offset, maxBytes, -1)
	response, err := leader.Fetch(request)
	if damaged(err) { // the connection, which other partitions share, is sound
		return nil, 0, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	if err != nil {
		_ = leader.Close()
		return nil, 0, err
	}
	block := response.GetBlock(topic, partition)
	switch {
	case block == nil:
		return nil, 0, sarama.ErrIncompleteResponse
	case errors.Is(block.Err, sarama.ErrOffsetOutOfRange):
		return nil, 0, ErrOffsetGone
	case !errors.Is(block.Err, sarama.ErrNoError):
		return nil, 0, block.Err
	}
	next = offset
	for _, records := range block.RecordsSet {
		batch := records.RecordBatch
		if batch == nil {
			continue
		}
		if batch.PartialTrailingRecord {
			if next == offset { // a broker sends the first batch whole (KIP-74)
				return nil, 0, fmt.Errorf("%w (%w)", ErrDamaged, errCut)
			}
			break
		}
		if batch.LastOffset() < offset || batch.LastOffset() >= block.HighWaterMarkOffset {
			return nil, 0, fmt.Errorf("%w (%w)", ErrDamaged, errSkipped)
		}
		next = max(next, batch.LastOffset()+1)
		if batch.Control {
			continue
		}
		for _, m := range batch.Records {
			if at := batch.FirstOffset + m.OffsetDelta; at >= offset { // a broker sends whole batches
				messages = append(messages, &sarama.ConsumerMessage{Topic: topic, Partition: partition, Offset: at, Key: m.Key, Value: m.Value, Headers: m.Headers, Timestamp: batch.FirstTimestamp.Add(m.TimestampDelta)})
			}
		}
	}
	return messages, next, nil
}
