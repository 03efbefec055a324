package service

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// newestBytes is the size of a fetch of the newest messages, rawBytes of a
	// fetch of one message.
	newestBytes = 256 << 10
	rawBytes    = 1
)

// logView reads the log on the cluster of the process.
func (m *Process) logView(models *modelStatus) *console.Log {
	return &console.Log{Partitions: m.kafka.Partitions, Follow: m.followLog, Newest: models.newest, At: models.rawAt}
}

// followLog calls fn with the new records of all partitions.
func (m *Process) followLog(ctx context.Context, fn func([]eventlog.Record)) error {
	reader, err := m.logTail.reader(m.kafka)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	following, ctx := errgroup.WithContext(ctx)
	for partition := range m.kafka.Partitions {
		following.Go(func() error {
			end, err := reader.End(ctx, partition)
			if err != nil {
				return err
			}
			return reader.Follow(ctx, partition, end, func(records []eventlog.Record) error {
				fn(records)
				return nil
			})
		})
	}
	return following.Wait()
}

// newest are up to n of the newest messages of a partition. Of large messages
// there are fewer.
func (s *modelStatus) newest(ctx context.Context, partition int32, n int) ([]console.RawRecord, error) {
	reader, ok := s.log.get(ctx)
	if !ok {
		return nil, errNoReader
	}
	end, err := reader.End(ctx, partition)
	if err != nil {
		return nil, err
	}
	var all []console.RawRecord
	for from := max(0, end-int64(n)); from < end; {
		raw, next, err := reader.Raw(ctx, partition, from, newestBytes)
		if errors.Is(err, kafka.ErrOffsetGone) || err == nil && next == from {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		for _, r := range raw {
			all = append(all, console.RawRecord(r))
		}
		from = next
	}
	return all[max(0, len(all)-n):], nil
}

// rawAt is the message at an offset.
func (s *modelStatus) rawAt(ctx context.Context, partition int32, offset int64) (console.RawRecord, error) {
	reader, ok := s.log.get(ctx)
	if !ok {
		return console.RawRecord{}, errNoReader
	}
	raw, _, err := reader.Raw(ctx, partition, offset, rawBytes)
	switch {
	case errors.Is(err, kafka.ErrOffsetGone), err == nil && (len(raw) == 0 || raw[0].Offset != offset):
		return console.RawRecord{}, console.ErrNoRecord
	case err != nil:
		return console.RawRecord{}, err
	}
	return console.RawRecord(raw[0]), nil
}
