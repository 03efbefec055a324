package decider

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/logging"
	"github.com/millrace/millrace/router/unique"
)

// If the decision of a command fails, the stream is parked: the command and all
// later commands of the stream are deferred, in order. Once the fault is
// mended, an operator requeues the deferred commands, or drops the parked
// command; then the stream's processor decides the rest in order. Other streams
// go on all the while.

// deferredCommand is a command that waits in its stream.
type deferredCommand struct {
	eventlog.Envelope
	At eventlog.CommandPosition
	// Reason and Stack say why the command was parked.
	Reason, Stack string
	// Asks is the stream of the claim that the command waits for, "" for none.
	Asks string `json:",omitempty"`
	// Taken and Refused are the streams of the claims that were answered.
	Taken   []string `json:",omitempty"`
	Refused []string `json:",omitempty"`
	// Dropped says that the command must end without a decision.
	Dropped bool
}

// RequeueParked is an operator's command: decide the stream's deferred commands
// after all, the parked command first.
type RequeueParked struct {
	Stream string `json:"stream"`
}

// DropParked is an operator's command: end the stream's parked command without
// a decision, and go on with the commands behind.
type DropParked struct {
	Stream string `json:"stream"`
	// CommandID is the id of the parked command. If another command is parked by
	// now, DropParked is refused.
	CommandID string `json:"commandId"`
}

// Type is "requeueParked".
func (RequeueParked) Type() string { return typeRequeueParked }

// AggregateID is the id in the stream's name.
func (c RequeueParked) AggregateID() string { return idOf(c.Stream) }

// Type is "dropParked".
func (DropParked) Type() string { return typeDropParked }

// AggregateID is the id in the stream's name.
func (c DropParked) AggregateID() string { return idOf(c.Stream) }

func idOf(stream string) string {
	_, id, _ := aggregate.SplitStream(stream)
	return id
}

// The operator's commands, by their names on the wire.
const (
	typeRequeueParked = "requeueParked"
	typeDropParked    = "dropParked"
)

// machineTypes are the types of the commands that each stream takes.
var machineTypes = []string{typeRequeueParked, typeDropParked, TypeCancelScheduled, unique.TypeAnswerClaim}

// NewCommand makes an empty command of a type: a command of an aggregate, an
// operator's command, or a claim's answer. The result is nil for an unknown type.
func NewCommand(registry *aggregate.Registry, commandType string) aggregate.AnyCommand {
	switch commandType {
	case typeRequeueParked:
		return new(RequeueParked)
	case typeDropParked:
		return new(DropParked)
	case TypeCancelScheduled:
		return new(CancelScheduled)
	case unique.TypeAnswerClaim:
		return new(unique.AnswerClaim)
	default:
		c, _ := registry.NewCommand(commandType)
		return c
	}
}

// streamOf is the name of a command's stream, "" for an unknown aggregate.
func streamOf(registry *aggregate.Registry, c aggregate.AnyCommand) string {
	switch c := c.(type) {
	case *RequeueParked:
		return c.Stream
	case *DropParked:
		return c.Stream
	case *CancelScheduled:
		return c.Stream
	case *unique.AnswerClaim:
		return c.Stream
	default:
		t := registry.OfCommand(c.Type())
		if t == nil {
			return ""
		}
		return t.Stream(c.AggregateID())
	}
}

// command reads a deferred command's payload.
func (d *deferredCommand) command(registry *aggregate.Registry) (aggregate.AnyCommand, error) {
	return readCommand(registry, &d.Envelope)
}

var (
	errNotParked = &aggregate.Refusal{Slug: "not-parked", Detail: "the stream's commands are not parked"}
	errNotAtHead = &aggregate.Refusal{Slug: "not-parked", Detail: "that command is not the parked one"}
	errAwaits    = &aggregate.Refusal{Slug: "not-parked", Detail: "the stream's first command waits for a binary that can decide the command"}
	errDropped   = &aggregate.Refusal{Slug: "command-dropped", Detail: "an operator has dropped the command"}
)

// operate is the outcome of a command that passes the queue: an operator's
// command, a CancelScheduled, or a claim's answer. The type is "" for a command of an aggregate.
func operate(registry *aggregate.Registry, s *stream, envelope *eventlog.Envelope, command aggregate.AnyCommand) outcome {
	switch command := command.(type) {
	case *RequeueParked:
		switch {
		case s.waitsFor(registry) != "":
			return refused(envelope, errAwaits)
		case !s.parked:
			return refused(envelope, errNotParked)
		}
		return outcome{recordType: eventlog.TypeParkedRequeued, body: EncodeBody(requeuedBody{CommandID: s.deferred.first.ID})}
	case *DropParked:
		if !s.parked && s.waitsFor(registry) == "" {
			return refused(envelope, errNotParked)
		}
		if s.deferred.first.ID != command.CommandID {
			return refused(envelope, errNotAtHead)
		}
		return outcome{recordType: eventlog.TypeParkedDropped, body: EncodeBody(requeuedBody{CommandID: command.CommandID})}
	case *unique.AnswerClaim:
		return answerOf(s, envelope, command)
	case *CancelScheduled:
		return cancel(s, envelope, command)
	default:
		return outcome{}
	}
}

// resume is the outcome of a stream's first deferred command, when deferred
// commands may go on.
func resume(registry *aggregate.Registry, s *stream, d *deferredCommand) outcome {
	if d.Dropped {
		return refused(&d.Envelope, errDropped)
	}
	command, err := d.command(registry)
	if err != nil {
		return parked(&d.Envelope, err.Error(), "")
	}
	return decideNow(registry, s, &d.Envelope, command, d)
}

// resuming reports whether deferred commands may go on, and this binary can end
// the first.
func (s *stream) resuming(registry *aggregate.Registry) bool {
	return !s.parked && s.deferred != nil && s.deferred.first.Asks == "" && s.waitsFor(registry) == ""
}

// resumes reports whether a deferred command is the next to go on.
func (s *stream) resumes(registry *aggregate.Registry, commandID string) bool {
	return s.resuming(registry) && s.deferred.first.ID == commandID
}

// indexDeferred is the index of a deferred command, -1 for a command that isn't
// deferred. A command that goes on is the first. For others, indexDeferred asks
// the outcomes before a search through the queue: each deferred command has an
// outcome. A speculation has no outcomes, but decides only the first deferred
// command and new commands: repeats finds the others. Of the router's own
// commands only the first is found: the fence finds the others.
func (s *stream) indexDeferred(commandID string) int {
	if s.deferred == nil {
		return -1
	}
	if s.deferred.first.ID == commandID {
		return 0
	}
	if strings.HasPrefix(commandID, eventlog.MachineIDPrefix) {
		return -1
	}
	if _, known := s.index(commandID); !known {
		return -1
	}
	return slices.IndexFunc(s.deferred.all(), func(d deferredCommand) bool { return d.ID == commandID })
}

// copied is a copy of the stream for a speculation, without outcomes.
func (s *stream) copied() stream {
	c := *s
	c.outcomes, c.deferred, c.schedule = remembered{}, s.deferred.copied(), s.schedule.copied()
	return c
}

// warnOfParked logs a command that was parked in a partition of this process.
func (p *processor) warnOfParked(r *eventlog.Record) {
	if r.Type != eventlog.TypeCommandParked {
		return
	}
	if body, err := decode[deferredBody](r); err == nil {
		p.log.Error("parked a command", "stream", r.Stream, "command", r.CommandID, "type", body.CommandType, logging.Trace(r.Trace), "reason", body.Reason)
	}
}

// deferCommand folds a commandParked, commandQueued or commandClaiming. A command
// that is deferred already keeps its place in the queue, and its claims.
func (s *stream) deferCommand(r *eventlog.Record) error {
	body, err := decode[deferredBody](r)
	if err != nil {
		return err
	}
	d := deferredCommand{
		Envelope: eventlog.Envelope{
			Partition: r.Partition, ID: r.CommandID, Type: body.CommandType, Stream: r.Stream,
			Time: r.Time, Hash: r.CommandHash, ExpectedVersion: body.ExpectedVersion, Origin: r.Origin, Body: body.Payload,
		},
		At: r.CommandPosition, Reason: body.Reason, Stack: body.Stack,
	}
	if len(r.Asks) > 0 {
		d.Asks = r.Asks[0]
	}
	if i := s.indexDeferred(d.ID); i >= 0 {
		s.changeDeferred(i, func(was *deferredCommand) {
			d.Taken, d.Refused = was.Taken, was.Refused
			*was = d
		})
	} else {
		s.deferred = s.deferred.with(d)
		s.deferredEnd++
	}
	return nil
}

// release takes a command off the queue when the command has ended.
func (s *stream) release(commandID string) {
	switch i := s.indexDeferred(commandID); {
	case i < 0:
	case i == 0: // the command that goes on is always the first
		s.deferred = s.deferred.next()
	default:
		s.setDeferred(slices.Delete(s.deferred.all(), i, i+1))
	}
}

// setDeferred replaces the queue. All deferred commands get new numbers, so all
// are written to disk again.
func (s *stream) setDeferred(all []deferredCommand) {
	s.deferred = newDeferredQueue(all)
	s.deferredEnd += uint64(len(all))
}

// changeDeferred changes the deferred command at i.
func (s *stream) changeDeferred(i int, change func(*deferredCommand)) {
	if i == 0 { // the command that was decided is always the first
		change(&s.deferred.first)
		s.deferred.firstChanged = true
		return
	}
	all := s.deferred.all()
	change(&all[i])
	s.setDeferred(all)
}

// unpark folds a parkedRequeued or parkedDropped.
func (s *stream) unpark(r *eventlog.Record) error {
	body, err := decode[requeuedBody](r)
	if err != nil {
		return err
	}
	if r.Type == eventlog.TypeParkedDropped {
		i := s.indexDeferred(body.CommandID)
		if i < 0 {
			return errors.New("the dropped command is not deferred")
		}
		s.changeDeferred(i, func(d *deferredCommand) { d.Dropped = true })
	}
	s.parked = false
	return nil
}

// ParkedStream is a stream whose commands wait for an operator, or for a binary
// that can decide the first.
type ParkedStream struct {
	Stream string
	// Deferred are the commands that wait. The first is the parked command, or
	// the command that waits for another binary. A list has only the first.
	Deferred []DeferredCommand
	// Waiting is the number of commands that wait.
	Waiting int
	// Parked says that the commands wait for an operator.
	Parked bool
}

// DeferredCommand is a command that waits in a parked stream. Reason and Stack
// say why the command waits.
type DeferredCommand struct {
	eventlog.Envelope
	Reason, Stack string
}

// Parked lists the streams whose commands wait, by name, each with the first
// command alone.
func (ss *StateStore) Parked() []ParkedStream {
	found := map[string]ParkedStream{}
	for _, p := range ss.processors {
		if err := p.eachDeferring(true, func(c *cachedStream) {
			if of, waits := c.stream.whatWaits(ss.registry, c.name, 1); waits {
				found[c.name] = of
			}
		}); err != nil {
			p.broken(err)
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b ParkedStream) int { return strings.Compare(a.Stream, b.Stream) })
}

// ParkedStream returns a stream whose commands wait, with all commands, and false
// if no command of the stream waits.
func (ss *StateStore) ParkedStream(name string) (ParkedStream, bool) {
	p := ss.processorOf(name)
	c, err := p.hold(name, "")
	if err != nil {
		p.broken(err)
		return ParkedStream{}, false
	}
	defer p.letGo(c)
	if s := c.stream; s != nil {
		return s.whatWaits(ss.registry, name, s.deferred.len())
	}
	return ParkedStream{}, false
}

// whatWaits is a stream with the first commands that wait, and false if no
// command waits.
func (s *stream) whatWaits(registry *aggregate.Registry, name string, most int) (ParkedStream, bool) {
	awaits := s.waitsFor(registry)
	if !s.parked && awaits == "" {
		return ParkedStream{}, false
	}
	first := []deferredCommand{s.deferred.first}
	if most > 1 {
		first = s.deferred.all()
	}
	of := ParkedStream{name, deferredCommands(first), s.deferred.len(), s.parked}
	if awaits != "" {
		of.Deferred[0].Reason = awaits
	}
	return of, true
}

func deferredCommands(deferred []deferredCommand) []DeferredCommand {
	out := make([]DeferredCommand, 0, len(deferred))
	for _, d := range deferred {
		out = append(out, DeferredCommand{d.Envelope, d.Reason, d.Stack})
	}
	return out
}
