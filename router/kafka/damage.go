package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

// ErrDamaged is returned when a broker has other bytes in a partition than
// somebody wrote. Waiting doesn't help; a copy of the broker's data does.
var ErrDamaged = errors.New("the broker's copy of the log is damaged there")

// damaged reports whether an error says that a batch can't be decoded.
func damaged(err error) bool {
	var decoding sarama.PacketDecodingError
	return errors.Is(err, ErrDamaged) || errors.As(err, &decoding) || errors.Is(err, sarama.ErrInvalidMessage)
}

// probe reads a partition at an offset, and returns an [ErrDamaged] if a batch
// in the next fetch can't be decoded. sarama fetches all partitions of a broker
// together, and each gets the error of one.
func (r *reader) probe(partition int32, offset int64) error {
	_, _, err := fetch(r.client, r.topic, partition, offset, lookBytes)
	r.mu.Lock()
	defer r.mu.Unlock()
	if !damaged(err) {
		delete(r.damaged, partition)
		return nil
	}
	if r.damaged == nil {
		r.damaged = map[int32]bool{}
	}
	r.damaged[partition] = true
	return r.damage(partition, offset, err)
}

func (r *reader) damage(partition int32, offset int64, err error) error {
	if !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return fmt.Errorf("partition %d of %s, at or behind offset %d: %w", partition, r.topic, offset, err)
}

// probeAgain probes a partition whose last read ended with an [ErrDamaged]. So
// a new read doesn't disturb the reads of other partitions.
func (r *reader) probeAgain(ctx context.Context, partition int32, offset int64) error {
	r.mu.Lock()
	again := r.damaged[partition]
	r.mu.Unlock()
	if !again {
		return nil
	}
	return within(ctx, func() error { return r.probe(partition, offset) })
}

// silencePatience is the longest wait for messages that Kafka says to have, until
// the next probe: sarama waits for ever for the rest of a batch whose length is
// damaged.
const silencePatience = 5 * time.Second

var (
	errCut     = errors.New("a batch without its end")
	errFuture  = errors.New("an offset behind the partition's end")
	errSkipped = errors.New("a batch with other offsets than its place")
)

// checkOffsets returns an [ErrDamaged] for messages that can't be at their
// offsets: Kafka's checksum doesn't cover the offset of a batch. Messages start
// at or behind offset next, below end, and a gap holds no other message.
func (r *reader) checkOffsets(ctx context.Context, messages []*sarama.ConsumerMessage, next, end int64) error {
	for _, m := range messages {
		if m.Offset >= end {
			return r.damage(m.Partition, next, errFuture)
		}
		if m.Offset > next {
			if err := within(ctx, func() error { return r.checkGap(m.Partition, next, m.Offset) }); err != nil {
				return err
			}
		}
		next = m.Offset + 1
	}
	return nil
}

// checkGap returns an [ErrDamaged] if a partition has messages in a gap.
func (r *reader) checkGap(partition int32, from, to int64) error {
	for at := from; at < to; {
		messages, next, err := fetch(r.client, r.topic, partition, at, lookBytes)
		switch {
		case damaged(err), err == nil && len(messages) > 0 && messages[0].Offset < to:
			return r.damage(partition, at, errors.Join(err, errSkipped))
		case err != nil:
			return err
		case next == at:
			return sarama.ErrIncompleteResponse
		}
		at = next
	}
	return nil
}
