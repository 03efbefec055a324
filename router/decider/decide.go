package decider

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/logging"
)

// decide makes the record of a command's outcome, with the stream's next
// sequence number. decide is pure: time and ids come from the command's
// message, so the same command on the same stream makes the same record in
// every process.
func decide(registry *aggregate.Registry, s *stream, envelope *eventlog.Envelope, command aggregate.AnyCommand, at eventlog.CommandPosition) eventlog.Record {
	o := operate(registry, s, envelope, command)
	reason := s.queues(registry, envelope.Type)
	switch {
	case o.recordType != "":
	case isLater(envelope):
		o = scheduled(envelope)
	case reason != "":
		o = queued(envelope, reason)
	default:
		o = decideNow(registry, s, envelope, command, nil)
	}
	return seal(s, envelope, at, o)
}

// decideDeferred makes the record of the outcome of the stream's first deferred
// command.
func decideDeferred(registry *aggregate.Registry, s *stream) eventlog.Record {
	d := &s.deferred.first
	return seal(s, &d.Envelope, d.At, unclaim(registry, s, d, resume(registry, s, d)))
}

// seal makes a sealed record of an outcome, with the stream's next sequence
// number.
func seal(s *stream, envelope *eventlog.Envelope, at eventlog.CommandPosition, o outcome) eventlog.Record {
	r := eventlog.Record{
		Partition:       envelope.Partition,
		Type:            o.recordType,
		Stream:          envelope.Stream,
		Time:            envelope.Time,
		Seq:             s.head.Seq + 1,
		Prev:            s.head.Digest,
		Version:         s.head.Version,
		CommandID:       envelope.ID,
		CommandHash:     envelope.Hash,
		CommandPosition: at,
		Origin:          envelope.Origin,
		Asks:            o.asks,
		Releases:        o.releases,
		Body:            o.body,
	}
	if eventlog.IsEvent(o.recordType) {
		r.Version++
	}
	r.Seal()
	return r
}

// decideNow asks the aggregate. A command that the aggregate can't decide is
// parked. of is nil for a new command.
func decideNow(registry *aggregate.Registry, s *stream, envelope *eventlog.Envelope, command aggregate.AnyCommand, of *deferredCommand) outcome {
	if envelope.Origin == nil && registry.IsInternal(envelope.Type) {
		return refused(envelope, errInternal)
	}
	if s.unreadable != nil {
		return parked(envelope, s.unreadable.Error(), "")
	}
	if envelope.ExpectedVersion != nil && *envelope.ExpectedVersion != s.head.Version {
		return refused(envelope, versionMismatch(s.head.Version, *envelope.ExpectedVersion))
	}
	d, err := decideSafely(registry, s, envelope.Stream, command)
	var no *aggregate.Refusal
	var panicked *panicError
	switch {
	case errors.As(err, &no):
		return refused(envelope, no)
	case errors.As(err, &panicked):
		return parked(envelope, panicked.Error(), panicked.stack)
	case err != nil:
		return parked(envelope, err.Error(), "")
	case d.event == nil:
		return unchanged(envelope)
	case len(d.body) > eventlog.MaxRecordBody:
		return parked(envelope, fmt.Sprintf("the event has %d bytes, and a record at most %d", len(d.body), eventlog.MaxRecordBody), "")
	default:
		return claim(envelope, &d, of)
	}
}

func parked(envelope *eventlog.Envelope, reason, stack string) outcome {
	return outcome{recordType: eventlog.TypeCommandParked, body: EncodeBody(deferredBodyOf(envelope, reason, stack))}
}

func queued(envelope *eventlog.Envelope, reason string) outcome {
	return outcome{recordType: eventlog.TypeCommandQueued, body: EncodeBody(deferredBodyOf(envelope, reason, ""))}
}

func versionMismatch(is, expected uint64) *aggregate.Refusal {
	return &aggregate.Refusal{
		Slug:   aggregate.SlugVersionMismatch,
		Detail: fmt.Sprintf("the stream has version %d, not %d", is, expected),
		Kind:   aggregate.PreconditionFailed,
	}
}

func refused(envelope *eventlog.Envelope, no *aggregate.Refusal) outcome {
	return outcome{recordType: eventlog.TypeCommandRefused, body: EncodeBody(refusedBody{
		CommandType: envelope.Type, Problem: no.Slug, Detail: eventlog.Bounded(no.Detail, maxReason), Payload: payloadOf(envelope),
	})}
}

func unchanged(envelope *eventlog.Envelope) outcome {
	return outcome{recordType: eventlog.TypeCommandUnchanged, body: EncodeBody(unchangedBody{CommandType: envelope.Type, Payload: payloadOf(envelope)})}
}

// payloadOf is the payload of a reaction's command, nil of a client's command.
func payloadOf(envelope *eventlog.Envelope) json.RawMessage {
	if envelope.Origin == nil {
		return nil
	}
	return envelope.Body
}

// The limits of texts in a record, in bytes. The texts are of any length: a rule
// may quote the whole payload. [eventlog.MaxRecordBody] has room for a command
// with these texts, each byte written as \u and four digits.
const (
	maxReason = 4 << 10
	maxStack  = 16 << 10
)

func deferredBodyOf(envelope *eventlog.Envelope, reason, stack string) deferredBody {
	return deferredBody{
		CommandType: envelope.Type, Payload: envelope.Body, ExpectedVersion: envelope.ExpectedVersion,
		Reason: eventlog.Bounded(reason, maxReason), Stack: eventlog.Bounded(stack, maxStack),
	}
}

// panicError is the error of a decision that panicked. A decision is pure, so
// another try would panic too.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("the decision panicked: %v", e.value) }

// decision is the event of a command, nil if there is nothing to change, with the
// claims of the state before and after the event.
type decision struct {
	event      aggregate.AnyEvent
	body       []byte
	has, wants []aggregate.Claim
}

// decideSafely asks the aggregate, and makes sure that the event can be read
// back and applied. An event without these properties would stop the stream for
// good.
func decideSafely(registry *aggregate.Registry, s *stream, name string, command aggregate.AnyCommand) (d decision, err error) {
	defer func() {
		if value := recover(); value != nil {
			d, err = decision{}, &panicError{value, logging.Stack("/router/aggregate.")}
		}
	}()
	t, _ := registry.OfStream(name)
	if t == nil {
		return d, fmt.Errorf("this binary does not know the aggregate of stream %q", name)
	}
	event, err := t.Decide(s.state, command)
	if err != nil || event == nil {
		return d, err
	}
	body, err := t.EncodeEvent(event)
	if err != nil {
		return d, err
	}
	again, err := registry.DecodeEvent(name, event.Type(), body)
	if err != nil {
		return d, fmt.Errorf("the event could not be read back: %w", err)
	}
	after := t.Apply(s.state, again)
	has, wants, err := claimsOf(t, s.state, after)
	return decision{event, body, has, wants}, err
}

// Refusals are the refusals of the router itself: commands of any aggregate can
// be refused with these.
func Refusals() []*aggregate.Refusal {
	return []*aggregate.Refusal{
		{Slug: aggregate.SlugVersionMismatch, Detail: "`expectedVersion` is not the stream's version", Kind: aggregate.PreconditionFailed},
		errDropped, errCancelled, errNotScheduled,
		errClaimTooLong, errInternal,
	}
}

// errInternal refuses an internal command of a client. The gateway takes none: the
// client writes to Kafka, or an earlier release took the command.
var errInternal = &aggregate.Refusal{Slug: aggregate.SlugCommandInternal, Detail: "reactions alone send this command", Kind: aggregate.Invalid}
