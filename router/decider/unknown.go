package decider

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
	"github.com/millrace/millrace/router/strict"
	"github.com/millrace/millrace/router/unique"
)

// A command of a type that this binary doesn't know may be a newer binary's, or
// nobody's. The same holds for an event. So this binary neither decides, refuses
// nor parks the command: the command ends as commandQueued, later commands of
// its stream queue behind, and other streams go on. A binary that knows the type
// decides the command next, without another record.

// unknownCommand is a command of a type that this binary doesn't know.
type unknownCommand struct{ commandType, id string }

// Type is the type on the wire.
func (c unknownCommand) Type() string { return c.commandType }

// AggregateID is the id in the stream's name.
func (c unknownCommand) AggregateID() string { return c.id }

// knows reports whether this binary knows a type of commands.
func knows(registry *aggregate.Registry, commandType string) bool {
	return registry.OfCommand(commandType) != nil || slices.Contains(machineTypes, commandType)
}

// readCommand reads a command, as strictly as the gateway. Of a type that this
// binary doesn't know the payload must be an object: the payload is kept in a
// record. An error is [kafka.ErrUndecodable].
func readCommand(registry *aggregate.Registry, envelope *eventlog.Envelope) (aggregate.AnyCommand, error) {
	if err := strict.CheckEnvelope(envelope); err != nil {
		return nil, fmt.Errorf("%w: %w", kafka.ErrUndecodable, err)
	}
	if unique.IsOwn(envelope.Type) && (envelope.Origin == nil || envelope.Origin.Reaction != unique.Name) {
		return nil, fmt.Errorf("%w: a %s comes from the router alone", kafka.ErrUndecodable, envelope.Type)
	}
	command := NewCommand(registry, envelope.Type)
	if command == nil {
		if _, wrong := strict.ReadPayload(envelope.Body); wrong != nil {
			return nil, fmt.Errorf("%w: the payload of a %s: %w", kafka.ErrUndecodable, envelope.Type, strict.Join(wrong))
		}
		if t, id := registry.OfStream(envelope.Stream); t != nil {
			if own, err := t.ParseID(id); err != nil || own != id {
				return nil, fmt.Errorf("%w: aggregate %s has no id %q", kafka.ErrUndecodable, t.Name(), id)
			}
		}
		return unknownCommand{envelope.Type, idOf(envelope.Stream)}, nil
	}
	if err := readPayload(registry, envelope.Body, command); err != nil {
		return nil, err
	}
	if !envelope.NotBefore.IsZero() && slices.Contains(machineTypes, envelope.Type) {
		return nil, fmt.Errorf("%w: a %s can't wait for a time", kafka.ErrUndecodable, envelope.Type)
	}
	if c, ok := command.(*CancelScheduled); ok {
		if err := c.check(envelope); err != nil {
			return nil, err
		}
	}
	return command, checkStream(registry, envelope, command)
}

// readPayload reads a payload into an empty command of a known type.
func readPayload(registry *aggregate.Registry, payload []byte, command aggregate.AnyCommand) error {
	if err := strict.ReadCommand(registry.OfCommand(command.Type()), payload, command); err != nil {
		return fmt.Errorf("%w: the payload of a %s: %w", kafka.ErrUndecodable, command.Type(), err)
	}
	return nil
}

// checkStream compares the stream that a payload names with the envelope's.
func checkStream(registry *aggregate.Registry, envelope *eventlog.Envelope, command aggregate.AnyCommand) error {
	if named := streamOf(registry, command); named != envelope.Stream {
		return fmt.Errorf("%w: the payload names stream %q, and the key %q", kafka.ErrUndecodable, named, envelope.Stream)
	}
	return nil
}

// queues is the reason why a new command of a type queues on this stream, "" if
// this binary decides the command now.
func (s *stream) queues(registry *aggregate.Registry, commandType string) (reason string) {
	switch {
	case !knows(registry, commandType):
		return eventlog.ReasonUnknownType
	case s.deferred == nil:
		return s.beyond(registry, commandType)
	case !s.parked && eventlog.AwaitsBinary(s.deferred.first.Reason):
		return eventlog.ReasonBehindUnknown
	case !s.parked && eventlog.AwaitsClaim(s.deferred.first.Reason):
		return eventlog.ReasonBehindClaim
	default:
		return "an earlier command of this stream is parked"
	}
}

// beyond is the reason why only another binary can decide a command of a type
// on this stream, "" if this binary can.
func (s *stream) beyond(registry *aggregate.Registry, commandType string) (reason string) {
	switch {
	case !knows(registry, commandType):
		return eventlog.ReasonUnknownType
	case errors.Is(s.unreadable, aggregate.ErrUnknownEvent):
		return eventlog.ReasonUnknownEvent
	default:
		return ""
	}
}

// waitsFor is the reason why the first deferred command waits for another
// binary, "" if the command doesn't.
func (s *stream) waitsFor(registry *aggregate.Registry) (reason string) {
	if s.parked || s.deferred == nil || s.deferred.first.Dropped || s.deferred.first.Asks != "" {
		return ""
	}
	return s.beyond(registry, s.deferred.first.Type)
}
