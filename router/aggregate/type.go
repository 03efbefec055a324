package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode"
	"unicode/utf8"
)

// AnyCommand is a command of any aggregate: a [Command] of some state.
type AnyCommand interface {
	Type() string
	AggregateID() string
}

// AnyEvent is an event of any aggregate: an [Event] of some state.
type AnyEvent interface {
	Type() string
	AggregateID() string
}

// Type is an aggregate as the router sees one: a [Definition] without its
// state's type. A state is an S, or nil for the zero value.
type Type struct {
	name, plural string
	version      int
	parseID      func(string) (string, error)
	commands     []func() AnyCommand
	internal     map[string]bool   // by command type
	commandIDs   map[string]string // the json name of the field that is AggregateID, by command type
	events       map[string]eventType
	eventTypes   []string // in the order of the definition
	refusals     []*Refusal
	upcasts      map[string]Upcast
	stateForm    string // how the state is written
	fold         string

	decide      func(state any, c AnyCommand) (AnyEvent, error)
	apply       func(state any, e AnyEvent) any
	decodeState func(body []byte) (any, error)
	claims      func(state any) []Claim // nil for none

	wrong error // with the definition
}

// Of is the type of a definition. What is wrong with the definition, the
// registry says.
func Of[S any](d Definition[S]) *Type {
	t := &Type{
		name: d.Name, plural: d.Plural, version: d.Version, parseID: d.ParseID,
		internal: map[string]bool{}, commandIDs: map[string]string{}, events: map[string]eventType{}, refusals: d.Refusals,
		decide: func(state any, c AnyCommand) (AnyEvent, error) {
			command, ok := c.(Command[S])
			if !ok {
				return nil, fmt.Errorf("%T is no command of aggregate %s", c, d.Name)
			}
			return command.Decide(stateOf[S](state, d.Name))
		},
		apply: func(state any, e AnyEvent) any {
			event, ok := e.(Event[S])
			if !ok {
				panic(fmt.Sprintf("%T is no event of aggregate %s", e, d.Name))
			}
			return event.Apply(stateOf[S](state, d.Name))
		},
		decodeState: decodeState[S],
		stateForm:   formOf(reflect.TypeFor[S](), nil),
	}
	if t.parseID == nil {
		t.parseID = parseAnyID
	}
	if d.Claims != nil {
		t.claims = func(state any) []Claim { return d.Claims(stateOf[S](state, d.Name)) }
	}
	t.wrong = t.checkNames()
	if len(d.Commands)+len(d.Internal) == 0 {
		t.wrong = errors.Join(t.wrong, errors.New("there are no commands"))
	}
	add := func(list string, creates []func() Command[S], internal bool) {
		for i, create := range creates {
			if create == nil {
				t.wrong = errors.Join(t.wrong, fmt.Errorf("%s[%d] is nil", list, i))
				continue
			}
			t.wrong = errors.Join(t.wrong, t.addCommand(func() AnyCommand { return create() }, internal))
		}
	}
	add("Commands", d.Commands, false)
	add("Internal", d.Internal, true)
	for i, create := range d.Events {
		if create == nil {
			t.wrong = errors.Join(t.wrong, fmt.Errorf("Events[%d] is nil", i)) //nolint:staticcheck // the name of the field
			continue
		}
		t.wrong = errors.Join(t.wrong, t.addEvent(func() AnyEvent { return create() }))
	}
	t.wrong = errors.Join(t.wrong, t.checkUpcasts(d.Upcasts), checkRefusals(d.Refusals), checkState[S]())
	t.fold = t.foldVersion()
	return t
}

func stateOf[S any](state any, name string) (s S) {
	if state == nil {
		return s
	}
	s, ok := state.(S)
	if !ok {
		panic(fmt.Sprintf("%T is no state of aggregate %s", state, name))
	}
	return s
}

// Name is the aggregate's name, as "list".
func (t *Type) Name() string { return t.name }

// Plural is the name of many, as "lists".
func (t *Type) Plural() string { return t.plural }

// Stream is the name of an aggregate's stream: "<name>/<id>".
func (t *Type) Stream(id string) string { return t.name + "/" + id }

// ParseID checks the text of an id, as it stands in a path, and returns the
// text as it is stored.
func (t *Type) ParseID(text string) (id string, err error) {
	id, err = t.parseID(text)
	if err == nil && !isID(id) {
		return "", errAnyID
	}
	return id, err
}

// Commands makes an empty command of each type, in the order of the definition,
// and the internal commands behind the others.
func (t *Type) Commands() []func() AnyCommand { return t.commands }

// IsInternal reports whether reactions alone send commands of a type.
func (t *Type) IsInternal(commandType string) bool { return t.internal[commandType] }

// IDMember is the json name of the member of a command that is the aggregate's
// id, "" if no single member is.
func (t *Type) IDMember(commandType string) string { return t.commandIDs[commandType] }

// EventTypes are the types of today's events, in the order of the definition.
func (t *Type) EventTypes() []string { return t.eventTypes }

// OldEventTypes are the event types that upcasts take, in alphabetical order.
func (t *Type) OldEventTypes() []string { return slices.Sorted(maps.Keys(t.upcasts)) }

// NewEvent makes an empty event of a type, nil if the aggregate has none.
func (t *Type) NewEvent(eventType string) AnyEvent {
	if e, ok := t.events[eventType]; ok {
		return e.create()
	}
	return nil
}

// Refusals are those of the definition.
func (t *Type) Refusals() []*Refusal { return t.refusals }

// Decide asks a command for its event. The error is a [*Refusal] where a rule
// says no. An event or a refusal that the definition does not list is another
// error: nobody could read the event back, and no document has the refusal.
func (t *Type) Decide(state any, c AnyCommand) (AnyEvent, error) {
	event, err := t.decide(state, c)
	if err != nil {
		return nil, t.checkRefusal(c, err)
	}
	if event == nil {
		return nil, nil
	}
	if v := reflect.ValueOf(event); v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, fmt.Errorf("command %s makes a nil %T: an event of no type says that nothing changes", c.Type(), event)
	}
	if _, known := t.events[event.Type()]; !known {
		return nil, fmt.Errorf("command %s makes event %s, which is not among the events of aggregate %s", c.Type(), event.Type(), t.name)
	}
	if event.AggregateID() != c.AggregateID() {
		return nil, fmt.Errorf("command %s of %s %q makes an event of %q", c.Type(), t.name, c.AggregateID(), event.AggregateID())
	}
	return event, nil
}

// checkRefusal returns the error of a decision, or another error for a refusal
// that the definition does not have.
func (t *Type) checkRefusal(c AnyCommand, err error) error {
	var no *Refusal
	switch {
	case !errors.As(err, &no):
		return err
	case no == nil:
		return fmt.Errorf("command %s returns a nil %T as its error: an error of no type says that nothing is wrong", c.Type(), no)
	case !t.hasRefusal(no):
		return fmt.Errorf("command %s refuses with %q (%s), which is not among the refusals of aggregate %s", c.Type(), no.Slug, no.Kind, t.name)
	}
	return err
}

// Apply returns the state after an event.
func (t *Type) Apply(state any, e AnyEvent) any { return t.apply(state, e) }

var errAnyID = errors.New("must be 1 to 128 characters without control characters, other than one dot and two dots")

// maxIDLength bounds ids in characters: an id is part of Kafka's key and of
// paths.
const maxIDLength = 128

// isID says whether a text can be the id of any aggregate: dots are steps in a
// path.
func isID(text string) bool {
	if text == "" || text == "." || text == ".." || !utf8.ValidString(text) || utf8.RuneCountInString(text) > maxIDLength {
		return false
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

func parseAnyID(text string) (string, error) {
	if !isID(text) {
		return "", errAnyID
	}
	return text, nil
}
