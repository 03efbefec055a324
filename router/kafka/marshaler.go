package kafka

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
)

// CommandMarshaler is the marshaler of the command bus and the command
// processor. CommandMarshaler turns an [eventlog.Envelope] into a Watermill
// message, and a message's payload into a command of an aggregate. The name of a
// command is its type.
type CommandMarshaler struct{}

// RecordMarshaler is the marshaler of the event bus. RecordMarshaler turns an
// [eventlog.Record] into a Watermill message, and a message's payload into an
// event of an aggregate. The name of an event is its type.
type RecordMarshaler struct{}

var (
	_ cqrs.CommandEventMarshaler = CommandMarshaler{}
	_ cqrs.CommandEventMarshaler = RecordMarshaler{}
)

// typed is the common method of an aggregate's commands and events.
type typed interface{ Type() string }

// Marshal takes a *[eventlog.Envelope].
func (CommandMarshaler) Marshal(v any) (*message.Message, error) {
	c, ok := v.(*eventlog.Envelope)
	if !ok {
		return nil, fmt.Errorf("marshal %T: want *eventlog.Envelope", v)
	}
	return newMessage(c.Headers(), c.Body), nil
}

// Unmarshal reads the payload into v, a command of an aggregate. An error is
// [ErrUndecodable].
func (CommandMarshaler) Unmarshal(msg *message.Message, v any) error {
	return unmarshalBody(msg, v)
}

// Name returns the command's type.
func (CommandMarshaler) Name(v any) string { return nameOf(v) }

// NameFromMessage returns the command's type.
func (CommandMarshaler) NameFromMessage(msg *message.Message) string {
	return msg.Metadata[eventlog.HeaderType]
}

// Marshal takes a *[eventlog.Record], sealed.
func (RecordMarshaler) Marshal(v any) (*message.Message, error) {
	r, ok := v.(*eventlog.Record)
	if !ok {
		return nil, fmt.Errorf("marshal %T: want *eventlog.Record", v)
	}
	return newMessage(r.Headers(), r.Body), nil
}

// Unmarshal reads the body into v, an event of an aggregate. An error is
// [ErrUndecodable].
func (RecordMarshaler) Unmarshal(msg *message.Message, v any) error {
	return unmarshalBody(msg, v)
}

// Name returns the record's type.
func (RecordMarshaler) Name(v any) string { return nameOf(v) }

// NameFromMessage returns the record's type.
func (RecordMarshaler) NameFromMessage(msg *message.Message) string {
	return msg.Metadata[eventlog.HeaderType]
}

func unmarshalBody(msg *message.Message, v any) error {
	if err := json.Unmarshal(msg.Payload, v); err != nil {
		return fmt.Errorf("%w: the body of a %s: %w", ErrUndecodable, msg.Metadata[eventlog.HeaderType], err)
	}
	return nil
}

func nameOf(v any) string {
	switch v := v.(type) {
	case *eventlog.Envelope:
		return v.Type
	case *eventlog.Record:
		return v.Type
	case typed:
		return v.Type()
	default:
		return fmt.Sprintf("%T", v)
	}
}

// ErrUndecodable is the error of a message that fails to decode at every try.
var ErrUndecodable = errors.New("can't be decoded")
