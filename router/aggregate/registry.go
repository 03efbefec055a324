package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Registry is all aggregates of a service.
type Registry struct {
	types    []*Type
	byName   map[string]*Type
	commands map[string]commandType
	fold     string
}

type commandType struct {
	of     *Type
	create func() AnyCommand
}

// The router's own names, which no aggregate can have.
var (
	reservedNames    = []string{"reaction", "unique"}
	reservedPlurals  = []string{"changes", "commands", "healthz", "livez", "openapi.json", "reactions", "readyz", "stats"}
	reservedCommands = []string{
		"answerClaim", "cancelScheduled", "dropParked", "giveClaim", "noteProgress", "parkCause", "requeueParked", "retryCause",
		"skipCause", "startReaction", "takeClaim",
	}
	reservedEvents = []string{
		"causeParked", "causeRetried", "causeSkipped", "claimAnswered", "commandClaiming", "commandParked", "commandQueued",
		"commandRefused", "commandScheduled", "commandUnchanged", "parkedDropped", "parkedRequeued", "reactionProgressed",
		"reactionStarted", "scheduledCancelled", "valueReleased", "valueTaken",
	}
	reservedSlugs = []string{
		"certificate-required", "claim-too-long", "command-cancelled", "command-dropped", "command-id-reused", "command-internal", "command-not-found", "command-parked",
		"cross-site", "insufficient-scope", "internal", "invalid-request", "method-not-allowed", "not-found", "not-parked",
		"not-scheduled", "overloaded", "too-large", "too-many-jobs", "too-many-open", "too-many-requests", "unauthorized", "unavailable", "unknown-host",
		"unsupported-media-type", "value-taken", "version-mismatch",
	}
)

// NewRegistry returns the registry of these types. The error is one line with
// the faulty type and the fault: a definition that can't work, a second use of
// a name, a plural or a message type, or a name of the router.
func NewRegistry(types ...*Type) (*Registry, error) {
	r := &Registry{types: slices.Clone(types), byName: map[string]*Type{}, commands: map[string]commandType{}}
	if len(types) == 0 {
		return nil, errors.New("no aggregate is registered")
	}
	plurals, events, slugs := map[string]string{}, map[string]string{}, map[string]string{}
	for _, t := range types {
		if t == nil {
			return nil, errors.New("an aggregate is nil")
		}
		if err := r.add(t, plurals, events, slugs); err != nil {
			first, _, _ := strings.Cut(err.Error(), "\n")
			return nil, fmt.Errorf("aggregate %q: %s", t.name, first)
		}
	}
	r.fold = r.foldVersion()
	return r, nil
}

// With returns a registry that also has the router's own aggregates. Whoever
// decides, or folds the log, asks the registry with both; clients are told of
// the team's aggregates only. The names of the router's own are reserved, so
// nothing is there twice.
func (r *Registry) With(own ...*Type) (*Registry, error) {
	both := &Registry{types: append(slices.Clone(r.types), own...), byName: maps.Clone(r.byName), commands: maps.Clone(r.commands)}
	for _, t := range own {
		if t.wrong != nil {
			return nil, fmt.Errorf("aggregate %q: %w", t.name, t.wrong)
		}
		both.byName[t.name] = t
		for _, create := range t.commands {
			both.commands[create().Type()] = commandType{t, create}
		}
	}
	both.fold = both.foldVersion()
	return both, nil
}

func (r *Registry) add(t *Type, plurals, events, slugs map[string]string) error {
	if t.wrong != nil {
		return t.wrong
	}
	if err := takeName(map[string]string{}, t.name, t.name, "the name", reservedNames); err != nil {
		return err
	}
	if _, twice := r.byName[t.name]; twice {
		return errors.New("the name is registered twice")
	}
	r.byName[t.name] = t
	if err := takeName(plurals, t.plural, t.name, "the plural", reservedPlurals); err != nil {
		return err
	}
	for _, create := range t.commands {
		name := create().Type()
		if slices.Contains(reservedCommands, name) {
			return fmt.Errorf("command %q is the router's own", name)
		}
		if other, twice := r.commands[name]; twice {
			return fmt.Errorf("command %q is also one of aggregate %q: one handler decides a command", name, other.of.name)
		}
		r.commands[name] = commandType{t, create}
	}
	for _, name := range append(slices.Clone(t.eventTypes), slices.Sorted(maps.Keys(t.upcasts))...) {
		if err := takeName(events, name, t.name, "event", reservedEvents); err != nil {
			return err
		}
	}
	for _, refusal := range t.refusals {
		if err := takeName(slugs, refusal.Slug, t.name, "refusal", reservedSlugs); err != nil {
			return err
		}
	}
	return nil
}

// takeName takes a name for an aggregate, unless another aggregate has the name.
func takeName(taken map[string]string, name, by, what string, reserved []string) error {
	if slices.Contains(reserved, name) {
		return fmt.Errorf("%s %q is the router's own", what, name)
	}
	if other, twice := taken[name]; twice {
		return fmt.Errorf("%s %q is also that of aggregate %q", what, name, other)
	}
	taken[name] = by
	return nil
}

// Types are all aggregates, in the order of registration.
func (r *Registry) Types() []*Type { return r.types }

// Type is the aggregate with a name, nil if there is none.
func (r *Registry) Type(name string) *Type { return r.byName[name] }

// ByPlural is the aggregate with a plural, nil if there is none.
func (r *Registry) ByPlural(plural string) *Type {
	for _, t := range r.types {
		if t.plural == plural {
			return t
		}
	}
	return nil
}

// NewCommand makes an empty command of a type, and returns its aggregate. Both
// are nil if no aggregate has such a command.
func (r *Registry) NewCommand(commandType string) (AnyCommand, *Type) {
	c, ok := r.commands[commandType]
	if !ok {
		return nil, nil
	}
	return c.create(), c.of
}

// OfCommand is the aggregate with a type of commands, nil if there is none.
func (r *Registry) OfCommand(commandType string) *Type { return r.commands[commandType].of }

// IsInternal reports whether reactions alone send commands of a type.
func (r *Registry) IsInternal(commandType string) bool {
	t := r.OfCommand(commandType)
	return t != nil && t.IsInternal(commandType)
}

// CommandTypes are the types of all commands, in the order of the definitions.
func (r *Registry) CommandTypes() []string {
	var types []string
	for _, t := range r.types {
		for _, create := range t.commands {
			types = append(types, create().Type())
		}
	}
	return types
}

// SplitStream splits the name of a stream at its first slash into the
// aggregate's name and the id. The result is false for a text that is no name
// of a stream.
func SplitStream(stream string) (name, id string, ok bool) {
	name, id, ok = strings.Cut(stream, "/")
	return name, id, ok && name != "" && id != ""
}

// IsRouters reports whether a stream is one of the router's own.
func IsRouters(stream string) bool {
	name, _, _ := strings.Cut(stream, "/")
	return slices.Contains(reservedNames, name)
}

// OfStream is the aggregate of a stream, and the id. The aggregate is nil if
// this binary does not know the aggregate.
func (r *Registry) OfStream(stream string) (t *Type, id string) {
	name, id, ok := SplitStream(stream)
	if !ok {
		return nil, ""
	}
	return r.byName[name], id
}

// DecodeEvent reads the body of an event of a stream, in today's form. An
// aggregate or an event type that this binary does not know is an
// [ErrUnknownEvent].
func (r *Registry) DecodeEvent(stream, eventType string, body []byte) (AnyEvent, error) {
	t, id := r.OfStream(stream)
	if t == nil {
		return nil, fmt.Errorf("%w %q: this binary does not know the aggregate of stream %q", ErrUnknownEvent, eventType, stream)
	}
	event, err := t.DecodeEvent(eventType, body)
	if err != nil {
		return nil, err
	}
	if event.AggregateID() != id {
		return nil, fmt.Errorf("decode %s: the body names %s %q in stream %q", eventType, t.name, event.AggregateID(), stream)
	}
	return event, nil
}

// SlugVersionMismatch is the router's refusal of a command whose
// expectedVersion is not the stream's version.
const SlugVersionMismatch = "version-mismatch"

// SlugClaimTooLong is the router's refusal of a command that would claim a value
// of more than [MaxClaimValue] bytes.
const SlugClaimTooLong = "claim-too-long"

// SlugCommandInternal is the router's refusal of an internal command that no
// reaction has sent.
const SlugCommandInternal = "command-internal"

// KindOf is the kind of a refusal by its slug. An unknown slug of a newer
// binary is a [Conflict].
func (r *Registry) KindOf(slug string) Kind {
	if slug == SlugVersionMismatch {
		return PreconditionFailed
	}
	if slug == SlugClaimTooLong || slug == SlugCommandInternal {
		return Invalid
	}
	for _, t := range r.types {
		for _, refusal := range t.refusals {
			if refusal.Slug == slug {
				return refusal.Kind
			}
		}
	}
	return Conflict
}

// FoldVersion is a text that changes whenever the same log may make other
// states. The text covers names, versions, event types and states (their fields
// in JSON) of all aggregates.
func (r *Registry) FoldVersion() string { return r.fold }

func (r *Registry) foldVersion() string {
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(r.byName)) {
		sum.Write([]byte(r.byName[name].fold + "\n"))
	}
	return hex.EncodeToString(sum.Sum(nil))
}
