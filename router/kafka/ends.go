package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// ends finds the ends of a topic's partitions. Kafka's own answer, the offset of
// the next message, is not the end of what a reader gets: the last offsets may
// hold a transaction's marker, or nothing after a compaction. A reader that
// waits for such an offset waits for ever.
type ends struct {
	mu    sync.Mutex
	known map[int32]knownEnd
}

// knownEnd is the end of a partition, as long as Kafka has the same newest
// offset.
type knownEnd struct{ newest, end int64 }

// endBytes is the size of a fetch in the search of an end. One byte is one batch
// (KIP-74), and mostly the last batch has the last message.
const endBytes = 1

// of returns the offset behind the last message of a partition, or the
// partition's start.
func (e *ends) of(ctx context.Context, client sarama.Client, topic string, partition int32) (int64, error) {
	newest, err := offsetOf(ctx, client, topic, partition, sarama.OffsetNewest)
	if err != nil || newest == 0 {
		return newest, err
	}
	e.mu.Lock()
	known, ok := e.known[partition]
	e.mu.Unlock()
	if ok && known.newest == newest {
		return known.end, nil
	}
	end, err := endBefore(ctx, client, topic, partition, newest)
	if err != nil {
		return 0, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.known == nil {
		e.known = map[int32]knownEnd{}
	}
	e.known[partition] = knownEnd{newest, end}
	return end, nil
}

// endBefore searches the last message before Kafka's newest offset, in steps that
// double, because most messages are near the end.
func endBefore(ctx context.Context, client sarama.Client, topic string, partition int32, newest int64) (int64, error) {
	end, err := lastMessage(ctx, client, topic, partition, newest-1, newest, endBytes)
	if trimmed := errors.Is(err, ErrOffsetGone); !trimmed && (err != nil || end > 0) {
		return end, err
	}
	first, err := offsetOf(ctx, client, topic, partition, sarama.OffsetOldest)
	if err != nil {
		return 0, err
	}
	for to, step := newest, int64(2); first < to; step *= 2 {
		from := max(to-step, first)
		if end, err := lastMessage(ctx, client, topic, partition, from, to, lookBytes); err != nil || end > 0 {
			return end, err
		}
		to = from
	}
	return min(first, newest), nil
}

// lastMessage returns the offset behind the last message at or behind offset
// from and before offset to, 0 for none.
func lastMessage(ctx context.Context, client sarama.Client, topic string, partition int32, from, to int64, size int32) (end int64, err error) {
	for from < to {
		messages, next, err := fetchPatiently(ctx, client, topic, partition, from, size)
		if err != nil {
			return 0, err
		}
		for _, m := range messages {
			if m.Offset < to {
				end = m.Offset + 1
			}
		}
		from = next
	}
	return end, nil
}

// fetchPatiently is like fetch for an offset below the partition's newest.
// fetchPatiently waits during an election, up to electionPatience, and makes
// some tries after any other error, because another broker may be the leader
// now, and partitions share a connection.
func fetchPatiently(ctx context.Context, client sarama.Client, topic string, partition int32, offset int64, size int32) (messages []*sarama.ConsumerMessage, next int64, err error) {
	begun := time.Now()
	for try := 0; ; try++ {
		messages, next, err = fetch(client, topic, partition, offset, size)
		if err == nil && next == offset { // a new leader, which doesn't know the newest offset yet
			err = sarama.ErrOffsetNotAvailable
		}
		if err == nil || errors.Is(err, ErrOffsetGone) || try+1 >= tries && (!elects(err) || time.Since(begun) >= electionPatience) {
			return messages, next, err
		}
		select {
		case <-ctx.Done():
			return nil, 0, errors.Join(ctx.Err(), err)
		case <-time.After(electionPause):
		}
		_ = client.RefreshMetadata(topic) // the next fetch tells the error
	}
}

// fetchWithin is like [fetch], and returns at the context's end. After an error
// the next fetch asks the leader of that time.
func fetchWithin(ctx context.Context, client sarama.Client, topic string, partition int32, offset int64, maxBytes int32) ([]*sarama.ConsumerMessage, int64, error) {
	type fetched struct {
		messages []*sarama.ConsumerMessage
		next     int64
	}
	f, err := answerWithin(ctx, func() (fetched, error) {
		messages, next, err := fetch(client, topic, partition, offset, maxBytes)
		if err != nil && !errors.Is(err, ErrOffsetGone) {
			_ = client.RefreshMetadata(topic) // another broker may be the leader now
		}
		return fetched{messages, next}, err
	})
	return f.messages, f.next, err
}

const (
	// electionPatience is the longest wait for a leader that answers questions
	// for offsets. An election takes seconds.
	electionPatience = 30 * time.Second
	electionPause    = 100 * time.Millisecond
	// tries is the number of tries when something else fails. Of two questions
	// that open a connection at the same time, sarama may tell one that there is
	// no connection.
	tries = 3
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
	for try := 0; ; try++ {
		at, err := client.GetOffset(topic, partition, which)
		unconnected := errors.Is(err, sarama.ErrNotConnected) && try+1 < tries
		if !unconnected && (!elects(err) || time.Since(begun) >= electionPatience) {
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

// at returns the message at an offset, or [ErrOffsetGone].
func (r *reader) at(ctx context.Context, partition int32, offset int64) (*sarama.ConsumerMessage, error) {
	m, err := answerWithin(ctx, func() (*sarama.ConsumerMessage, error) {
		m, err := r.fetch(partition, offset)
		if err != nil && !errors.Is(err, ErrOffsetGone) && r.client.RefreshMetadata(r.topic) == nil {
			m, err = r.fetch(partition, offset) // from the new leader
		}
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("partition %d of %s, offset %d: %w", partition, r.topic, offset, err)
	}
	return m, nil
}

// fetch returns the message at an offset.
func (r *reader) fetch(partition int32, offset int64) (*sarama.ConsumerMessage, error) {
	messages, _, err := fetch(r.client, r.topic, partition, offset, 1) // one byte is one batch (KIP-74)
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 || messages[0].Offset != offset {
		return nil, ErrOffsetGone
	}
	return messages[0], nil
}

// CommandReader reads the bounds of topic commands.
type CommandReader struct{ *reader }

// Range returns the offset of a partition's first command, and the offset behind
// the last command.
func (r *CommandReader) Range(ctx context.Context, partition int32) (first, end int64, err error) {
	if first, err = r.start(ctx, partition); err != nil {
		return 0, 0, err
	}
	end, err = r.End(ctx, partition)
	return first, end, err
}

// CommandReader opens a reader of topic commands.
func (k *Kafka) CommandReader() (*CommandReader, error) {
	r, err := k.reader(eventlog.TopicCommands)
	if err != nil {
		return nil, err
	}
	return &CommandReader{r}, nil
}

// TimeOf returns the time when a command's producer sent the command to this
// offset, or [ErrOffsetGone].
func (r *CommandReader) TimeOf(ctx context.Context, partition int32, offset int64) (time.Time, error) {
	m, err := r.at(ctx, partition, offset)
	if err != nil {
		return time.Time{}, err
	}
	return m.Timestamp, nil
}
