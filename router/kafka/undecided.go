package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/IBM/sarama"
	"golang.org/x/sync/semaphore"

	"github.com/millrace/millrace/router/eventlog"
)

const (
	// maxLooks is the limit of concurrent searches.
	maxLooks = 16
	// lookBytes is the size of a fetch.
	lookBytes = 1 << 20
)

// CommandFinder searches topic commands for commands without a decision, for
// processes that don't decide the commands. A CommandFinder connects at the
// first search, and is safe for concurrent use.
type CommandFinder struct {
	kafka *Kafka
	group string
	looks *semaphore.Weighted
	ends  ends // of topic events

	mu     sync.Mutex
	client sarama.Client // nil before the first search
	admin  sarama.ClusterAdmin
	closed bool
}

// CommandFinder returns a finder of commands that a consumer group hasn't
// decided.
func (k *Kafka) CommandFinder(group string) *CommandFinder {
	return &CommandFinder{kafka: k, group: group, looks: semaphore.NewWeighted(maxLooks)}
}

// Undecided reports whether a command is in topic commands at or behind the
// group's committed offset. The group commits an offset only when all commands
// below have their outcome in the log. So if the answer is false, the log already had
// the command's outcome, or the topic didn't have the command.
func (f *CommandFinder) Undecided(ctx context.Context, stream, commandID string) (bool, error) {
	partition := eventlog.PartitionOf(stream, f.kafka.Partitions)
	found, err := look(ctx, f, func(ctx context.Context) (bool, error) {
		return f.find(ctx, partition, stream, commandID)
	})
	if err != nil {
		return false, fmt.Errorf("look for a command in partition %d: %w", partition, err)
	}
	return found, nil
}

// LogEnd returns the position behind the last record in the partition of a
// stream.
func (f *CommandFinder) LogEnd(ctx context.Context, stream string) (eventlog.Position, error) {
	partition := eventlog.PartitionOf(stream, f.kafka.Partitions)
	end, err := look(ctx, f, func(ctx context.Context) (int64, error) {
		return f.ends.of(ctx, f.client, f.kafka.Topic(eventlog.TopicEvents), partition)
	})
	if err != nil {
		return nil, fmt.Errorf("end of partition %d of the log: %w", partition, err)
	}
	return eventlog.Position{partition: end}, nil
}

// Close disconnects, and ends all searches.
func (f *CommandFinder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.client == nil {
		return nil
	}
	return f.client.Close()
}

// look runs ask, and once more after an error with fresh metadata, because
// another broker may be the leader now. look returns at the context's end; ask
// keeps its place among the concurrent searches until ask returns.
func look[T any](ctx context.Context, f *CommandFinder, ask func(context.Context) (T, error)) (T, error) {
	var none T // never written: ask may go on after the return
	if err := f.looks.Acquire(ctx, 1); err != nil {
		return none, err
	}
	return answerWithin(ctx, func() (T, error) {
		defer f.looks.Release(1)
		if err := f.connect(); err != nil {
			return none, err
		}
		answer, err := ask(ctx)
		if err == nil || ctx.Err() != nil {
			return answer, err
		}
		refreshed := errors.Join(
			f.client.RefreshMetadata(f.kafka.Topic(eventlog.TopicCommands), f.kafka.Topic(eventlog.TopicEvents)),
			f.client.RefreshCoordinator(f.group))
		if refreshed != nil {
			return none, err
		}
		return ask(ctx)
	})
}

func (f *CommandFinder) connect() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return errClosed
	}
	if f.client != nil {
		return nil
	}
	client, err := f.kafka.client()
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	f.client, f.admin = client, admin
	return nil
}

// find searches from the group's committed offset to the partition's present
// end.
func (f *CommandFinder) find(ctx context.Context, partition int32, stream, commandID string) (bool, error) {
	topic := f.kafka.Topic(eventlog.TopicCommands)
	from, err := committedOffset(f.admin, f.group, topic, partition) // read before the end, because the offset moves
	if err != nil {
		return false, err
	}
	first, err := offsetOf(ctx, f.client, topic, partition, sarama.OffsetOldest)
	if err != nil {
		return false, err
	}
	end, err := offsetOf(ctx, f.client, topic, partition, sarama.OffsetNewest)
	if err != nil {
		return false, err
	}
	if from < first || from > end { // no committed offset, or an offset of a former topic
		from = first
	}
	for from < end && ctx.Err() == nil {
		messages, next, err := fetch(f.client, topic, partition, from, lookBytes)
		if err != nil {
			return false, err
		}
		for _, m := range messages {
			if isCommand(m, stream, commandID) {
				return true, nil
			}
		}
		if next == from {
			return false, sarama.ErrIncompleteResponse
		}
		from = next
	}
	return false, ctx.Err()
}

// committedOffset returns a group's committed offset, -1 for none.
func committedOffset(admin sarama.ClusterAdmin, group, topic string, partition int32) (int64, error) {
	offsets, err := committedOffsets(admin, group, topic, []int32{partition})
	if at, ok := offsets[partition]; ok || err != nil {
		return at, err
	}
	return -1, nil
}

// committedOffsets returns a group's committed offsets, by partition. A partition
// without a committed offset has no entry.
func committedOffsets(admin sarama.ClusterAdmin, group, topic string, partitions []int32) (map[int32]int64, error) {
	offsets, err := admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: partitions})
	if errors.Is(err, sarama.ErrGroupIDNotFound) { // the embedded broker's answer
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !errors.Is(offsets.Err, sarama.ErrNoError) {
		return nil, offsets.Err
	}
	committed := map[int32]int64{}
	for _, partition := range partitions {
		block := offsets.GetBlock(topic, partition)
		if block == nil {
			continue
		}
		if !errors.Is(block.Err, sarama.ErrNoError) {
			return nil, block.Err
		}
		if block.Offset >= 0 {
			committed[partition] = block.Offset
		}
	}
	return committed, nil
}

// isCommand reports whether a message is the command of this stream and id. The
// key is the stream.
func isCommand(m *sarama.ConsumerMessage, stream, commandID string) bool {
	if string(m.Key) != stream {
		return false
	}
	for _, h := range m.Headers {
		if string(h.Key) == eventlog.HeaderCommandID {
			return string(h.Value) == commandID
		}
	}
	return false
}
