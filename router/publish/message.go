package publish

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Topic is the public topic of an aggregate.
type Topic struct {
	Name      string // as in Kafka
	Aggregate *aggregate.Type
}

// has reports whether a record is an event of the topic, if the record counts.
func (t Topic) has(r *eventlog.Record) bool { return t.ofAggregate(r) && eventlog.IsEvent(r.Type) }

// ofAggregate reports whether a record is of a stream of the topic's aggregate.
func (t Topic) ofAggregate(r *eventlog.Record) bool {
	id, ok := strings.CutPrefix(r.Stream, t.Aggregate.Name())
	return ok && strings.HasPrefix(id, "/") && r.Malformed == nil
}

// message is an event as a message of the topic; eventsID is the id of topic
// events. An event that can't be read goes out as in the log, with an error: a
// topic without the event would not be complete. Without headers for a CloudEvent
// there is no message.
func (t Topic) message(r *eventlog.Record, eventsID string) (*message.Message, error) {
	if r.Unreadable != nil {
		return nil, fmt.Errorf("left out: %w", r.Unreadable)
	}
	today, body, err := t.today(r)
	msg := message.NewMessage(r.ID, body)
	for _, h := range r.PublicHeaders(today, eventsID) {
		msg.Metadata[h.Key] = h.Value
	}
	return msg, err
}

// today is an event's type and body in today's form. An event without an upcast
// stays as in the log, with members and types that only a newer binary knows.
func (t Topic) today(r *eventlog.Record) (eventType string, body []byte, err error) {
	if !slices.Contains(t.Aggregate.OldEventTypes(), r.Type) {
		return r.Type, r.Body, nil
	}
	event, err := t.Aggregate.DecodeEvent(r.Type, r.Body)
	if err != nil {
		return r.Type, r.Body, fmt.Errorf("sent as in the log: %w", err)
	}
	if body, err = t.Aggregate.EncodeEvent(event); err != nil {
		return r.Type, r.Body, fmt.Errorf("sent as in the log: %w", err)
	}
	return event.Type(), body, nil
}
