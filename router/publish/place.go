package publish

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
)

// Log is topic events.
type Log interface {
	// End is the offset after a partition's last record.
	End(ctx context.Context, partition int32) (int64, error)
	// Follow hands over a partition's records from an offset on, until the context
	// or fn ends the reading.
	Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error
	// At returns the record at an offset.
	At(ctx context.Context, partition int32, offset int64) (eventlog.Record, error)
}

// Kafka is the public topics in Kafka.
type Kafka interface {
	// Ensure creates a missing topic, and checks the topic.
	Ensure(ctx context.Context, topic string) error
	// Newest calls fn with the messages of a partition, the newest first, until fn
	// returns true.
	Newest(ctx context.Context, topic string, partition int32, fn func(eventlog.RawMessage) bool) error
	// Publish returns once Kafka holds the messages, and sends a message only after
	// the one before.
	Publish(topic string, msgs ...*message.Message) error
}

// ErrOtherLog is the error of a public topic with events that the log doesn't
// have.
var ErrOtherLog = errors.New("has events of another log, or of records that the log has lost: name another topic in publish, or delete the topic")

// placeIn is the offset behind the last event of a partition that a public topic
// has. Messages of other programs don't count.
func placeIn(ctx context.Context, public Kafka, log Log, topic, eventsID string, partition int32) (next int64, err error) {
	var last *eventlog.EventPlace
	var id string
	err = public.Newest(ctx, topic, partition, func(raw eventlog.RawMessage) bool {
		place, err := eventlog.ParseEventPlace(raw.Get(eventlog.HeaderPosition))
		if err != nil {
			return false
		}
		last, id = &place, raw.Get(eventlog.HeaderID)
		return true
	})
	if err != nil || last == nil {
		return 0, err
	}
	if last.TopicID != eventsID || last.Partition != partition {
		return 0, fmt.Errorf("topic %s %w", topic, ErrOtherLog)
	}
	end, err := log.End(ctx, partition)
	if err != nil {
		return 0, err
	}
	if last.Offset >= end {
		return 0, fmt.Errorf("topic %s %w", topic, ErrOtherLog)
	}
	record, err := log.At(ctx, partition, last.Offset)
	if err != nil {
		return 0, err
	}
	if record.ID != id {
		return 0, fmt.Errorf("topic %s %w", topic, ErrOtherLog)
	}
	return last.Offset + 1, nil
}
