package decider

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// A stream whose command can't be decided is parked: that command, and all
// that come after it, are held, in order. Somebody requeues them once the
// fault is mended, or drops the one at fault; then they are decided in order.
// Other streams go on all the while.

// heldCommand is a command that waits in its stream.
type heldCommand struct {
	eventlog.Command
	At eventlog.CommandPosition
	// Reason and Stack say why the command was parked.
	Reason, Stack string
	// Dropped says that it is to end without being decided.
	Dropped bool
}

// RequeueParked asks to decide a stream's held commands after all, the parked
// one first.
type RequeueParked struct {
	Stream string `json:"stream"`
}

// DropParked asks to end a stream's parked command undecided, and to go on
// with those behind it.
type DropParked struct {
	Stream string `json:"stream"`
	// CommandID is the parked command: it may be another by now.
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

var operatorTypes = []string{typeRequeueParked, typeDropParked}

// NewCommand makes an empty command of a type, nil if it is unknown.
func NewCommand(registry *aggregate.Registry, commandType string) aggregate.AnyCommand {
	switch commandType {
	case typeRequeueParked:
		return new(RequeueParked)
	case typeDropParked:
		return new(DropParked)
	default:
		c, _ := registry.NewCommand(commandType)
		return c
	}
}

// streamOf is the stream that a command is of, "" if its aggregate is unknown.
func streamOf(registry *aggregate.Registry, c aggregate.AnyCommand) string {
	switch c := c.(type) {
	case *RequeueParked:
		return c.Stream
	case *DropParked:
		return c.Stream
	default:
		_, t := registry.NewCommand(c.Type())
		if t == nil {
			return ""
		}
		return t.Stream(c.AggregateID())
	}
}

// wish reads what a held command asks.
func (h *heldCommand) wish(registry *aggregate.Registry) (aggregate.AnyCommand, error) {
	wish := NewCommand(registry, h.Type)
	if wish == nil {
		return nil, fmt.Errorf("unknown command %q", h.Type)
	}
	if err := json.Unmarshal(h.Body, wish); err != nil {
		return nil, fmt.Errorf("decode %s: %w", h.Type, err)
	}
	return wish, nil
}

var (
	errNotParked = &aggregate.Refusal{Slug: "not-parked", Detail: "the stream's commands are not parked"}
	errNotAtHead = &aggregate.Refusal{Slug: "not-parked", Detail: "that command is not the parked one"}
	errDropped   = &aggregate.Refusal{Slug: "command-dropped", Detail: "an operator has dropped the command"}
)

// operate is the outcome of an operator's command, if it is one.
func operate(s *stream, c *eventlog.Command, wish aggregate.AnyCommand) (recordType string, body []byte) {
	switch wish := wish.(type) {
	case *RequeueParked:
		if !s.parked {
			return refused(c, errNotParked)
		}
		return eventlog.TypeParkedRequeued, EncodeBody(requeuedBody{CommandID: s.held.first.ID})
	case *DropParked:
		if !s.parked {
			return refused(c, errNotParked)
		}
		if s.held.first.ID != wish.CommandID {
			return refused(c, errNotAtHead)
		}
		return eventlog.TypeParkedDropped, EncodeBody(requeuedBody{CommandID: wish.CommandID})
	default:
		return "", nil
	}
}

// resume is the outcome of the first held command, now that it may go on.
func resume(registry *aggregate.Registry, s *stream, h *heldCommand) (recordType string, body []byte) {
	if h.Dropped {
		return refused(&h.Command, errDropped)
	}
	wish, err := h.wish(registry)
	if err != nil {
		return eventlog.TypeCommandParked, EncodeBody(held(&h.Command, err.Error(), ""))
	}
	return decideNow(registry, s, &h.Command, wish)
}

// resuming says whether held commands may go on.
func (s *stream) resuming() bool { return !s.parked && s.held != nil }

// resumes says whether a held command is the one that goes on next.
func (s *stream) resumes(commandID string) bool {
	return s.resuming() && s.held.first.ID == commandID
}

// indexHeld is the place of a held command, -1 if it isn't held. Those that go
// on are the first; of the others it asks the outcomes before it looks at each.
// All that are held have one there. A stack has no outcomes, and decides none
// but the first and new ones: repeats knows the rest.
func (s *stream) indexHeld(commandID string) int {
	switch {
	case s.held == nil:
		return -1
	case s.held.first.ID == commandID:
		return 0
	case s.index(commandID) < 0:
		return -1
	default:
		return slices.IndexFunc(s.held.all(), func(h heldCommand) bool { return h.ID == commandID })
	}
}

// copied is the stream for a stack to go on from, without its outcomes.
func (s *stream) copied() stream {
	c := *s
	c.outcomes, c.places, c.held = nil, nil, s.held.copied()
	return c
}

// hold takes in a commandParked or commandQueued. A held command that is
// parked again keeps its place.
func (s *stream) hold(r *eventlog.Record) error {
	body, err := decode[heldBody](r)
	if err != nil {
		return err
	}
	h := heldCommand{
		Command: eventlog.Command{
			Partition: r.Partition, ID: r.CommandID, Type: body.CommandType, Stream: r.Stream,
			Time: r.Time, Hash: r.CommandHash, ExpectedVersion: body.ExpectedVersion, Body: body.Payload,
		},
		At: r.CommandPosition, Reason: body.Reason, Stack: body.Stack,
	}
	if i := s.indexHeld(h.ID); i >= 0 {
		s.changeHeld(i, func(was *heldCommand) { *was = h })
	} else {
		s.held = s.held.with(h)
	}
	return nil
}

// release takes a held command off: it has its outcome.
func (s *stream) release(commandID string) {
	switch i := s.indexHeld(commandID); {
	case i < 0:
	case i == 0: // as all are that may go on
		s.held = s.held.next()
	default:
		s.held = newHeldQueue(slices.Delete(s.held.all(), i, i+1))
	}
}

// changeHeld changes the held command at i.
func (s *stream) changeHeld(i int, change func(*heldCommand)) {
	if i == 0 { // as all are that were decided
		change(&s.held.first)
		return
	}
	all := s.held.all()
	change(&all[i])
	s.held = newHeldQueue(all)
}

// letGo takes in a parkedRequeued or parkedDropped.
func (s *stream) letGo(r *eventlog.Record) error {
	body, err := decode[requeuedBody](r)
	if err != nil {
		return err
	}
	if r.Type == eventlog.TypeParkedDropped {
		i := s.indexHeld(body.CommandID)
		if i < 0 {
			return errors.New("it drops a command that is not held")
		}
		s.changeHeld(i, func(h *heldCommand) { h.Dropped = true })
	}
	s.parked = false
	return nil
}

// ParkedStream is a stream whose commands wait for somebody.
type ParkedStream struct {
	Stream string
	// Held are the commands that wait; the first one is at fault.
	Held []HeldCommand
}

// HeldCommand is a command that waits, as an operator sees it.
type HeldCommand struct {
	eventlog.Command
	Reason, Stack string
}

// Parked lists the parked streams, by name.
func (l *Ledger) Parked() []ParkedStream {
	var list []ParkedStream
	for _, p := range l.partitions {
		p.mu.Lock()
		for name, s := range p.streams {
			if s.parked {
				list = append(list, ParkedStream{name, heldCommands(s.held.all())})
			}
		}
		p.mu.Unlock()
	}
	slices.SortFunc(list, func(a, b ParkedStream) int { return strings.Compare(a.Stream, b.Stream) })
	return list
}

func heldCommands(held []heldCommand) []HeldCommand {
	out := make([]HeldCommand, 0, len(held))
	for _, h := range held {
		out = append(out, HeldCommand{h.Command, h.Reason, h.Stack})
	}
	return out
}
