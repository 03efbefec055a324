package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// TrimCommands deletes the oldest commands of a partition, up to the first
// command that was sent at or after before, or is not decided. TrimCommands
// returns the number of deleted offsets.
func (k *Kafka) TrimCommands(ctx context.Context, partition int32, before time.Time, decided func(eventlog.Envelope) bool) (int64, error) {
	r, err := k.reader(eventlog.TopicCommands)
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }()
	first, err := r.start(ctx, partition)
	if err != nil {
		return 0, err
	}
	end, err := r.End(ctx, partition)
	if err != nil || first >= end {
		return 0, err
	}
	keepFrom := first
	enough := errors.New("enough")
	err = r.follow(ctx, partition, first, func(messages []*sarama.ConsumerMessage) error {
		for _, m := range messages {
			if !m.Timestamp.Before(before) {
				return enough
			}
			// A message that can't be decoded went to the dead letters before the
			// next command was decided.
			if c, err := eventlog.DecodeEnvelope(rawFromKafka(m), k.Partitions); err == nil {
				if !decided(c) {
					return enough
				}
				keepFrom = m.Offset + 1
			}
			if m.Offset >= end-1 {
				return enough
			}
		}
		return nil
	})
	if !errors.Is(err, enough) {
		return 0, err
	}
	if keepFrom == first {
		return 0, nil
	}
	err = within(ctx, func() error {
		admin, err := k.clusterAdmin()
		if err != nil {
			return fmt.Errorf("trim commands: %w", err)
		}
		defer func() { _ = admin.Close() }()
		if err := admin.DeleteRecords(r.topic, map[int32]int64{partition: keepFrom}); err != nil {
			return fmt.Errorf("trim commands: %w", err)
		}
		return nil
	})
	return keepFrom - first, err
}
