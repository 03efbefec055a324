package kafka

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/components/cqrs"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/eventlog"
)

// CommandMarshaler is the command bus's and the command processor's: a
// [eventlog.Envelope] to and from Watermill's message, and a message's payload into the
// domain's command. Names are the domain's own: Type() of a command.
type CommandMarshaler struct{}

// RecordMarshaler is the event bus's: a [eventlog.Record] into Watermill's message.
type RecordMarshaler struct{}

var (
	_ cqrs.CommandEventMarshaler = CommandMarshaler{}
	_ cqrs.CommandEventMarshaler = RecordMarshaler{}
)

// typed is what commands and events of the domain have in common.
type typed interface{ Type() string }

// Marshal takes a *[eventlog.Envelope].
func (CommandMarshaler) Marshal(v any) (*message.Message, error) {
	c, ok := v.(*eventlog.Envelope)
	if !ok {
		return nil, fmt.Errorf("marshal %T: want *messaging.Command", v)
	}
	return newMessage(c.Headers(), c.Body), nil
}

// Unmarshal reads the payload into v, a command of the domain.
func (CommandMarshaler) Unmarshal(msg *message.Message, v any) error {
	return unmarshalBody(msg, v)
}

// Name is the command's type.
func (CommandMarshaler) Name(v any) string { return nameOf(v) }

// NameFromMessage is the command's type.
func (CommandMarshaler) NameFromMessage(msg *message.Message) string {
	return msg.Metadata[eventlog.HeaderType]
}

// Marshal takes a *[eventlog.Record], sealed.
func (RecordMarshaler) Marshal(v any) (*message.Message, error) {
	r, ok := v.(*eventlog.Record)
	if !ok {
		return nil, fmt.Errorf("marshal %T: want *messaging.Record", v)
	}
	return newMessage(r.Headers(), r.Body), nil
}

// Unmarshal reads the body into v, an event of the domain.
func (RecordMarshaler) Unmarshal(msg *message.Message, v any) error {
	return unmarshalBody(msg, v)
}

// Name is the record's type.
func (RecordMarshaler) Name(v any) string { return nameOf(v) }

// NameFromMessage is the record's type.
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

// ErrUndecodable is a message that no try will ever decode.
var ErrUndecodable = errors.New("can't be decoded")
