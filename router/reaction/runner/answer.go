package runner

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/router/strict"
)

// Reaction is a reaction as the runner asks one.
type Reaction struct {
	// Name is the name on the wire.
	Name string
	// FromBeginning starts a new reaction at the log's beginning, not at its end.
	FromBeginning bool
	// React returns the commands that a record causes: stream, type, body, expected
	// version and NotBefore. The runner sets all other fields. A record that the
	// reaction doesn't answer has no commands.
	React func(*eventlog.Record) ([]eventlog.Envelope, error)

	own bool // the reaction is the router's
}

// Of is a team's reaction, in a service with the team's aggregates.
func Of(r *reaction.Reaction, registry *aggregate.Registry) Reaction {
	a := asked{r, registry}
	return Reaction{Name: r.Name, FromBeginning: r.FromBeginning, React: a.react}
}

type asked struct {
	*reaction.Reaction
	registry *aggregate.Registry
}

func (a asked) react(r *eventlog.Record) ([]eventlog.Envelope, error) {
	t, id := a.registry.OfStream(r.Stream)
	record := reaction.Record{Stream: r.Stream, AggregateID: id, Seq: r.Seq, Version: r.Version, Time: r.Time}
	own := r.Origin != nil && r.Origin.Reaction == a.Name
	switch {
	case t == nil && aggregate.IsRouters(r.Stream):
		return nil, nil
	case r.Unreadable != nil && (own || a.IsOf(r.Stream)):
		return nil, r.Unreadable
	case eventlog.IsEvent(r.Type) && a.IsOf(r.Stream):
		var err error
		if record.Event, err = a.registry.DecodeEvent(r.Stream, r.Type, r.Body); err != nil {
			return nil, err
		}
	case own && (r.Type == eventlog.TypeCommandRefused || r.Type == eventlog.TypeCommandUnchanged):
		var err error
		if record.Ended, err = a.ended(r); record.Ended == nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	commands, err := a.Answer(a.registry, record)
	if err != nil || len(commands) == 0 {
		return nil, err
	}
	return a.envelopes(commands)
}

// typeCancelScheduled is the router's command to cancel a scheduled command.
const typeCancelScheduled = "cancelScheduled"

// ended reads how a command of this reaction ended; nil for a cancel.
func (a asked) ended(r *eventlog.Record) (*reaction.Ended, error) {
	var body struct {
		CommandType string          `json:"commandType"`
		Payload     json.RawMessage `json:"payload"`
		Problem     string          `json:"problem"`
		Detail      string          `json:"detail"`
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return nil, fmt.Errorf("decode %s: %w", r.Type, err)
	}
	if body.CommandType == typeCancelScheduled {
		return nil, nil
	}
	command, t := a.registry.NewCommand(body.CommandType)
	if command == nil {
		return nil, fmt.Errorf("this binary does not know the command %s, which ended as %s", body.CommandType, r.Type)
	}
	if err := strict.ReadCommand(t, body.Payload, command); err != nil {
		return nil, fmt.Errorf("decode the payload of %s, which ended as %s: %w", body.CommandType, r.Type, err)
	}
	return &reaction.Ended{Command: command, Refusal: body.Problem, Detail: body.Detail}, nil
}

// envelopes writes commands, and makes sure that they can be read back.
func (a asked) envelopes(commands []reaction.Command) ([]eventlog.Envelope, error) {
	envelopes := make([]eventlog.Envelope, len(commands))
	for i, c := range commands {
		stream := c.Stream(a.registry)
		if c.Cancel {
			envelopes[i] = eventlog.Envelope{Stream: stream, Type: typeCancelScheduled, Body: decider.EncodeBody(cancelBody{stream, c.Command.Type()})}
			continue
		}
		body, err := json.Marshal(c.Command)
		if err != nil {
			return nil, fmt.Errorf("command %d: %w", i, err)
		}
		read, t := a.registry.NewCommand(c.Command.Type())
		if err := strict.ReadCommand(t, body, read); err != nil {
			return nil, fmt.Errorf("command %d: %s can't be read back: %w", i, c.Command.Type(), err)
		}
		if c.Command.AggregateID() != read.AggregateID() {
			return nil, fmt.Errorf("command %d: %s is read back with another id", i, c.Command.Type())
		}
		envelopes[i] = eventlog.Envelope{
			Stream: stream, Type: c.Command.Type(), Body: decider.EncodeBody(read),
			ExpectedVersion: c.ExpectedVersion, NotBefore: c.NotBefore,
		}
	}
	return envelopes, nil
}

// cancelBody is the payload of a reaction's cancelScheduled: of the commands of
// this type that the reaction has scheduled in the stream, the first.
type cancelBody struct {
	Stream      string `json:"stream"`
	CommandType string `json:"commandType"`
}

// stackOf is the stack of a panic, "" for another error.
func stackOf(err error) string {
	var panicked *reaction.PanicError
	if errors.As(err, &panicked) {
		return panicked.Stack
	}
	return ""
}
