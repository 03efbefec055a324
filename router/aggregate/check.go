package aggregate

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
)

var (
	nameForm    = regexp.MustCompile(`^[a-z][A-Za-z0-9-]{0,63}$`)
	messageForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.-]{0,127}$`)
	slugForm    = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)
)

// IsMessageType reports whether a text can be the type of a command or an event
// of any aggregate.
func IsMessageType(text string) bool { return messageForm.MatchString(text) }

// IsName reports whether a text can be the name of an aggregate or a reaction.
func IsName(text string) bool { return nameForm.MatchString(text) }

// IsStream reports whether a text can be the name of a stream of any aggregate.
func IsStream(text string) bool {
	name, id, ok := SplitStream(text)
	return ok && nameForm.MatchString(name) && isID(id)
}

func (t *Type) checkNames() error {
	if !nameForm.MatchString(t.name) {
		return fmt.Errorf("the name must be a lower-case letter, then letters, digits and hyphens, and is %q", t.name)
	}
	if !nameForm.MatchString(t.plural) {
		return fmt.Errorf("the plural must be a lower-case letter, then letters, digits and hyphens, and is %q", t.plural)
	}
	return nil
}

// addCommand takes in a command type.
func (t *Type) addCommand(create func() AnyCommand, internal bool) error {
	c := create()
	name, _, err := checkMessage("command", c)
	if err != nil {
		return err
	}
	if _, twice := t.commandIDs[name]; twice {
		return fmt.Errorf("command %q is there twice", name)
	}
	t.commands = append(t.commands, create)
	t.internal[name] = internal
	t.commandIDs[name] = idMember(create)
	return nil
}

// addEvent takes in an event type.
func (t *Type) addEvent(create func() AnyEvent) error {
	e := create()
	name, fields, err := checkMessage("event", e)
	if err != nil {
		return err
	}
	if _, twice := t.events[name]; twice {
		return fmt.Errorf("event %q is there twice", name)
	}
	written := len(fields) > 0
	for i := range fields {
		if err := lost(fields[i].of, nil); err != nil {
			return fmt.Errorf("event %s: field %s: %w", name, fields[i].goName, err)
		}
		written = written && fields[i].plain
	}
	t.events[name] = eventType{create: create, fields: fields, written: written}
	t.eventTypes = append(t.eventTypes, name)
	return nil
}

// checkMessage returns the type and the fields of a command or an event.
func checkMessage(what string, message interface{ Type() string }) (name string, fields []field, err error) {
	v := reflect.ValueOf(message)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Type().Elem().Kind() != reflect.Struct {
		return "", nil, fmt.Errorf("%s %T is no pointer to a struct", what, message)
	}
	name = message.Type()
	if !messageForm.MatchString(name) {
		return "", nil, fmt.Errorf("%s %T has the type %q, which must be a letter, then letters, digits, dots and hyphens", what, message, name)
	}
	fields, err = fieldsOf(v.Type().Elem())
	if err != nil {
		return "", nil, fmt.Errorf("%s %s: %w", what, name, err)
	}
	return name, fields, nil
}

func checkRefusals(refusals []*Refusal) error {
	seen := map[string]bool{}
	for _, r := range refusals {
		switch {
		case r == nil:
			return errors.New("a refusal is nil")
		case !slugForm.MatchString(r.Slug):
			return fmt.Errorf("the slug of a refusal must be a lower-case letter, then lower-case letters, digits and hyphens, and is %q", r.Slug)
		case seen[r.Slug]:
			return fmt.Errorf("refusal %q is there twice", r.Slug)
		case r.Detail == "":
			return fmt.Errorf("refusal %q has no detail", r.Slug)
		case r.Kind > Gone:
			return fmt.Errorf("refusal %q: the kind must be Conflict, NotFound or Gone, and is %s", r.Slug, r.Kind)
		}
		seen[r.Slug] = true
	}
	return nil
}
