package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/eventlog"
)

// Rebuilder fills a public topic from the log, without a state store: each
// partition goes through the gate from its beginning.
type Rebuilder struct {
	Topic      Topic
	Partitions int32  // of topic events
	EventsID   string // of topic events
	Log        Log
	Kafka      Kafka
	Logger     *slog.Logger
}

var errEnd = errors.New("the end of the partition")

// Rebuild writes the events that the topic lacks, up to the log's present end, and
// returns how many. progress is told the records that are read, and all. After an
// error another Rebuild goes on where this Rebuild has ended.
func (r *Rebuilder) Rebuild(ctx context.Context, progress func(read, all int64)) (published int64, err error) {
	if err := r.Kafka.Ensure(ctx, r.Topic.Name); err != nil {
		return 0, err
	}
	ends, all := make([]int64, r.Partitions), int64(0)
	for partition := range r.Partitions {
		if ends[partition], err = r.Log.End(ctx, partition); err != nil {
			return 0, err
		}
		all += ends[partition]
	}
	var read, sent atomic.Int64
	partitions, ctx := errgroup.WithContext(ctx)
	for partition, end := range ends {
		partitions.Go(func() error {
			err := r.partition(ctx, int32(partition), end, &sent, func(records int) { progress(read.Add(int64(records)), all) })
			if err != nil {
				return fmt.Errorf("partition %d: %w", partition, err)
			}
			return nil
		})
	}
	err = partitions.Wait()
	return sent.Load(), err
}

func (r *Rebuilder) partition(ctx context.Context, partition int32, end int64, sent *atomic.Int64, read func(records int)) error {
	next, err := placeIn(ctx, r.Kafka, r.Log, r.Topic.Name, r.EventsID, partition)
	if err != nil || end == 0 {
		return err
	}
	heads := map[string]eventlog.Head{}
	err = r.Log.Follow(ctx, partition, 0, func(records []eventlog.Record) error {
		for i := range records {
			event := &records[i]
			if event.Offset >= end {
				return errEnd
			}
			if !r.Topic.ofAggregate(event) {
				continue
			}
			head, counts := heads[event.Stream].Accept(event)
			if !counts {
				continue
			}
			heads[event.Stream] = head
			if event.Offset < next || !eventlog.IsEvent(event.Type) {
				continue
			}
			if err := send(r.Kafka, r.Logger, r.Topic, r.EventsID, event); err != nil {
				return err
			}
			sent.Add(1)
		}
		read(len(records))
		if records[len(records)-1].Offset+1 >= end {
			return errEnd
		}
		return ctx.Err()
	})
	if errors.Is(err, errEnd) {
		return nil
	}
	return err
}
