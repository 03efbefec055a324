package kafka

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/IBM/sarama"
)

const (
	// electionPatience is the longest wait for a leader that answers questions
	// for offsets. An election takes seconds.
	electionPatience = 30 * time.Second
	electionPause    = 100 * time.Millisecond
)

// betweenLeaders are the errors after which a client should ask again. The
// partition has no leader, or another leader, or a new leader without the
// followers' offsets (KIP-207).
var betweenLeaders = []error{
	sarama.ErrOffsetNotAvailable,
	sarama.ErrLeaderNotAvailable,
	sarama.ErrNotLeaderForPartition,
	sarama.ErrFencedLeaderEpoch,
	sarama.ErrUnknownLeaderEpoch,
}

// offsetOf returns the oldest or newest offset of a partition. offsetOf waits
// during an election, up to electionPatience; sarama asks again only once and
// at once.
func offsetOf(ctx context.Context, client sarama.Client, topic string, partition int32, which int64) (int64, error) {
	begun := time.Now()
	for {
		at, err := client.GetOffset(topic, partition, which)
		if !elects(err) || time.Since(begun) >= electionPatience {
			return at, err
		}
		select {
		case <-ctx.Done():
			return at, errors.Join(ctx.Err(), err)
		case <-time.After(electionPause):
		}
	}
}

// elects reports whether an error says that a partition is between leaders.
func elects(err error) bool {
	return slices.ContainsFunc(betweenLeaders, func(e error) bool { return errors.Is(err, e) })
}
