package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

const (
	// electionPatience is how long a partition may be without a leader that
	// tells its offsets. An election takes seconds.
	electionPatience = 30 * time.Second
	electionPause    = 100 * time.Millisecond
)

// betweenLeaders are the answers of brokers that say to ask again: a partition
// has no leader, has another, or one so new that it doesn't know yet how far
// its followers are (KIP-207).
var betweenLeaders = []error{
	sarama.ErrOffsetNotAvailable,
	sarama.ErrLeaderNotAvailable,
	sarama.ErrNotLeaderForPartition,
	sarama.ErrFencedLeaderEpoch,
	sarama.ErrUnknownLeaderEpoch,
}

// offsetOf is the oldest or newest offset of a partition. An election is
// waited for, as long as it is no longer than elections are; sarama asks again
// at once, and once only.
func offsetOf(ctx context.Context, client sarama.Client, topic string, partition int32, which int64) (int64, error) {
	begun := time.Now()
	for {
		at, err := client.GetOffset(topic, partition, which)
		elects := slices.ContainsFunc(betweenLeaders, func(e error) bool { return errors.Is(err, e) })
		if !elects || time.Since(begun) >= electionPatience {
			return at, err
		}
		select {
		case <-ctx.Done():
			return at, errors.Join(ctx.Err(), err)
		case <-time.After(electionPause):
		}
	}
}
