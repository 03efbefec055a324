package hostile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// writeIn is the longest time for a write. Brokers may be away.
const writeIn = 5 * time.Second

// Writer writes batches. Brokers may be away: a failed write may be in the topic
// or not.
type Writer struct {
	brokers []string
	plain   *kgo.Client
	within  *kgo.Client // transactions
	opened  int
}

// NewWriter returns a writer for brokers.
func NewWriter(brokers []string) *Writer { return &Writer{brokers: brokers} }

// open opens a client.
func (w *Writer) open(of **kgo.Client, more ...kgo.Opt) (*kgo.Client, error) {
	if *of != nil {
		return *of, nil
	}
	client, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(w.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.GzipCompression()),
		kgo.ProducerBatchMaxBytes(16 << 20), kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(writeIn),
	}, more...)...)
	if err != nil {
		return nil, err
	}
	*of = client
	return client, nil
}

// Write writes a batch.
func (w *Writer) Write(ctx context.Context, b Batch) error {
	ctx, cancel := context.WithTimeout(ctx, writeIn)
	defer cancel()
	if !b.Transaction {
		client, err := w.open(&w.plain)
		if err != nil {
			return err
		}
		return client.ProduceSync(ctx, b.Records...).FirstErr()
	}
	if w.within == nil {
		w.opened++
	}
	// After a failure the next client has another id: a transaction without an
	// end stays open until its timeout.
	client, err := w.open(&w.within, kgo.TransactionalID(fmt.Sprintf("torture-%d", w.opened)), kgo.TransactionTimeout(2*writeIn))
	if err != nil {
		return err
	}
	if err := client.BeginTransaction(); err != nil {
		return w.give(err)
	}
	if err := client.ProduceSync(ctx, b.Records...).FirstErr(); err != nil {
		return w.give(err)
	}
	end := kgo.TryCommit
	if b.Abort {
		end = kgo.TryAbort
	}
	return w.give(client.EndTransaction(ctx, end))
}

// give gives the client of transactions up after an error.
func (w *Writer) give(err error) error {
	if err != nil {
		w.within.CloseAllowingRebalance()
		w.within = nil
	}
	return err
}

// Close closes the clients.
func (w *Writer) Close() {
	for _, client := range []*kgo.Client{w.plain, w.within} {
		if client != nil {
			client.CloseAllowingRebalance()
		}
	}
}

// errEnd ends a read.
var errEnd = errors.New("at the end")

// Read calls fn with each record of a partition, markers of transactions too, up
// to an offset.
func Read(ctx context.Context, brokers []string, topic string, partition int32, end int64, fn func(*kgo.Record) error) error {
	if end == 0 {
		return nil
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(brokers...), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().AtStart()}}))
	if err != nil {
		return err
	}
	defer client.CloseAllowingRebalance()
	for {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if err == nil && !r.Attrs.IsControl() {
				err = fn(r)
			}
			if err == nil && r.Offset >= end-1 {
				err = errEnd
			}
		})
		if errors.Is(err, errEnd) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
