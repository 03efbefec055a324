package readmodel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

// ParkedStream is a stream that is parked in a read model.
type ParkedStream struct {
	Stream    string
	Partition int32
	StreamHead
}

// Parked returns the parked streams of a read model, by stream.
func Parked(ctx context.Context, store Store, p *projection.Projection, partitions int32) (all []ParkedStream, err error) {
	err = store.View(ctx, p, func(v View) error {
		all, err = parkedIn(ctx, v, partitions)
		return err
	})
	return all, err
}

func parkedIn(ctx context.Context, v View, partitions int32) (all []ParkedStream, err error) {
	err = v.EachParked(ctx, func(stream string, head StreamHead) error {
		all = append(all, ParkedStream{stream, eventlog.PartitionOf(stream, partitions), head})
		return nil
	})
	return all, err
}

// retriedAtOnce is the largest number of streams in a transaction of Retry.
const retriedAtOnce = 1000

// Retry folds parked streams of a read model again, beside the engine: from the
// failed record up to the checkpoint of the stream's partition. Retry returns
// the streams with their new heads. Parked is "" if the stream goes on, and the
// reason if the stream failed again. Streams that are no longer parked are left
// out.
func Retry(ctx context.Context, store Store, log Log, events projection.Decoder, p *projection.Projection, parked []ParkedStream, logger *slog.Logger) (now []ParkedStream, err error) {
	parked = slices.Clone(parked)
	slices.SortFunc(parked, func(a, b ParkedStream) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.ParkedOffset, b.ParkedOffset))
	})
	for len(parked) > 0 {
		n := 1
		for n < len(parked) && n < retriedAtOnce && parked[n].Partition == parked[0].Partition {
			n++
		}
		some, err := retrySome(ctx, store, log, events, p, parked[:n], logger)
		if err != nil {
			return now, err
		}
		now = append(now, some...)
		parked = parked[n:]
	}
	return now, nil
}

// parkedRead is the largest number of records to read while updates wait.
// Earlier records are read before.
const parkedRead = 1000

var errFurther = errors.New("the checkpoint is further")

// retrySome folds streams of one partition again, in the order of the log.
func retrySome(ctx context.Context, store Store, log Log, events projection.Decoder, p *projection.Projection, parked []ParkedStream, logger *slog.Logger) (now []ParkedStream, err error) {
	streams := make(map[string]bool, len(parked))
	for _, s := range parked {
		streams[s.Stream] = true
	}
	partition, next := parked[0].Partition, parked[0].ParkedOffset
	var records []eventlog.Record
	read := func(to int64) error {
		err := readRange(ctx, log, partition, next, to, func(some []eventlog.Record) error {
			for i := range some {
				if streams[some[i].Stream] {
					records = append(records, some[i])
				}
			}
			return nil
		})
		next = max(next, to)
		return err
	}
	for {
		to := int64(0)
		err := store.Hold(ctx, p, func(tx Tx, v View) error {
			if to, err = nextOf(ctx, v, partition); err != nil {
				return err
			}
			if to-next > parkedRead {
				return errFurther
			}
			if err := read(to); err != nil {
				return err
			}
			now, err = redo(ctx, tx, p, events, streams, before(records, to), logger)
			return err
		})
		if !errors.Is(err, errFurther) {
			for i := range now {
				now[i].Partition = partition
			}
			return now, err
		}
		if err := read(to); err != nil {
			return nil, err
		}
	}
}

// nextOf returns a partition's checkpoint.
func nextOf(ctx context.Context, v View, partition int32) (int64, error) {
	checkpoints, err := v.Checkpoints(ctx)
	if err != nil {
		return 0, err
	}
	for _, c := range checkpoints {
		if c.Partition == partition {
			return c.Next, nil
		}
	}
	return 0, fmt.Errorf("partition %d has no checkpoint", partition)
}

// before returns the records before an offset.
func before(records []eventlog.Record, offset int64) []eventlog.Record {
	n, _ := slices.BinarySearchFunc(records, offset, func(r eventlog.Record, at int64) int { return cmp.Compare(r.Offset, at) })
	return records[:n]
}

// redo folds records of parked streams, as if the streams were not parked.
func redo(ctx context.Context, tx Tx, p *projection.Projection, events projection.Decoder, streams map[string]bool, records []eventlog.Record, logger *slog.Logger) (now []ParkedStream, err error) {
	names := make([]string, 0, len(streams))
	for stream := range streams {
		names = append(names, stream)
	}
	heads, err := tx.Heads(ctx, names)
	if err != nil {
		return nil, err
	}
	released := releasedTx{tx, map[string]bool{}}
	for stream, head := range heads {
		if head.Parked != "" {
			released.streams[stream] = true
		}
	}
	records = slices.DeleteFunc(slices.Clone(records), func(r eventlog.Record) bool { return !released.streams[r.Stream] })
	if err := apply(ctx, released, p, events, records, logger); err != nil {
		return nil, err
	}
	if heads, err = tx.Heads(ctx, names); err != nil {
		return nil, err
	}
	for _, stream := range slices.Sorted(slices.Values(names)) {
		if released.streams[stream] {
			now = append(now, ParkedStream{Stream: stream, StreamHead: heads[stream]})
		}
	}
	return now, nil
}

// releasedTx shows parked streams as not parked.
type releasedTx struct {
	Tx
	streams map[string]bool
}

// Heads implements [Tx].
func (t releasedTx) Heads(ctx context.Context, streams []string) (map[string]StreamHead, error) {
	heads, err := t.Tx.Heads(ctx, streams)
	for stream, head := range heads {
		if t.streams[stream] {
			head.Parked, head.ParkedOffset = "", 0
			heads[stream] = head
		}
	}
	return heads, err
}

var errThere = errors.New("there")

// readRange hands over a partition's records from offset from to before offset
// to. All must be in the log.
func readRange(ctx context.Context, log Log, partition int32, from, to int64, fn func([]eventlog.Record) error) error {
	if from >= to {
		return nil
	}
	err := log.Follow(ctx, partition, from, func(records []eventlog.Record) error {
		some := before(records, to)
		if len(some) > 0 {
			if err := fn(some); err != nil {
				return err
			}
		}
		if len(records) > 0 && records[len(records)-1].Offset >= to-1 {
			return errThere
		}
		return nil
	})
	if errors.Is(err, errThere) {
		return nil
	}
	return err
}
