package kafka

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
)

// CommandMarshaler is the marshaler of the command bus and the command
// processor: from an [eventlog.Envelope] to a Watermill message, and back. All
// commands have the same name, because one handler has one subscription, which
// keeps the order.
type CommandMarshaler struct {
	Partitions int32 // of the topic; only Unmarshal needs the number
}

// RecordMarshaler is the marshaler of the event bus: from an [eventlog.Record]
// to a Watermill message, and back.
type RecordMarshaler struct {
	Partitions int32 // of the topic; only Unmarshal needs the number
}

var (
	_ cqrs.CommandEventMarshaler = CommandMarshaler{}
	_ cqrs.CommandEventMarshaler = RecordMarshaler{}
)

// Marshal takes a *[eventlog.Envelope].
func (CommandMarshaler) Marshal(v any) (*message.Message, error) {
	c, ok := v.(*eventlog.Envelope)
	if !ok {
		return nil, notA[eventlog.Envelope](v)
	}
	var room [16]eventlog.Header
	return newSending(c.AppendHeaders(room[:0]), c.Body), nil
}

// Unmarshal reads a message from [Kafka.CommandSubscription] into a
// *[eventlog.Envelope]. The envelope of a filler has no stream. An error is
// [ErrUndecodable].
func (m CommandMarshaler) Unmarshal(msg *message.Message, v any) error {
	c, ok := v.(*eventlog.Envelope)
	if !ok {
		return notA[eventlog.Envelope](v)
	}
	raw := rawFromMessage(msg)
	if isFiller(raw) {
		*c = eventlog.Envelope{Partition: raw.Partition, Offset: raw.Offset, Type: eventlog.FillerType}
		return nil
	}
	var err error
	if *c, err = eventlog.DecodeEnvelope(raw, m.Partitions); err != nil {
		return fmt.Errorf("%w: %w", ErrUndecodable, err)
	}
	return nil
}

// Name returns the name of all commands.
func (CommandMarshaler) Name(any) string { return "command" }

// NameFromMessage returns the name of all commands.
func (CommandMarshaler) NameFromMessage(*message.Message) string { return "command" }

// Marshal takes a *[eventlog.Record], sealed.
func (RecordMarshaler) Marshal(v any) (*message.Message, error) {
	r, ok := v.(*eventlog.Record)
	if !ok {
		return nil, notA[eventlog.Record](v)
	}
	var room [16]eventlog.Header
	return newSending(r.AppendHeaders(room[:0]), r.Body), nil
}

// Unmarshal reads a message of topic events into a *[eventlog.Record].
func (m RecordMarshaler) Unmarshal(msg *message.Message, v any) error {
	r, ok := v.(*eventlog.Record)
	if !ok {
		return notA[eventlog.Record](v)
	}
	*r = eventlog.DecodeRecord(rawFromMessage(msg), m.Partitions)
	return nil
}

// Name returns the name of all records.
func (RecordMarshaler) Name(any) string { return "record" }

// NameFromMessage returns the name of all records.
func (RecordMarshaler) NameFromMessage(*message.Message) string { return "record" }

func notA[T any](v any) error { return fmt.Errorf("a %T: want %T", v, new(T)) }

// ErrUndecodable is the error of a message that fails to decode at every try.
var ErrUndecodable = errors.New("can't be decoded")
