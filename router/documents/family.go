package documents

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
)

// family is an aggregate with its names in a document.
type family struct {
	*aggregate.Type
	title            string                        // "Order" of "order"
	creates          []func() aggregate.AnyCommand // of the commands
	commands, events []message
	id               object // the schema of an id in a path
}

// message is a command or an event.
type message struct {
	wire     string // the type in JSON
	schema   string // the name of the body's schema
	internal bool   // reactions alone send the command
}

// familiesOf adds the schemas of the commands and events of all aggregates.
// Commands are described as clients may write commands, without internal commands;
// or else as topic commands has all commands.
func familiesOf(registry *aggregate.Registry, schemas object, fromClients bool) ([]family, error) {
	taken, titles := names{}, names{"Command": true} // CommandID is a parameter of the router's part
	for name := range schemas {
		taken[name] = true
	}
	var families []family
	for _, t := range registry.Types() {
		f := family{Type: t, title: titles.claim("Type", titleOf(t.Name())), creates: slices.Clone(t.Commands())}
		if fromClients {
			f.creates = slices.DeleteFunc(f.creates, func(create func() aggregate.AnyCommand) bool { return t.IsInternal(create().Type()) })
		}
		taken[f.title+historyEvent] = true
		families = append(families, f)
	}
	shared := sharedNames(registry)
	for i := range families {
		f := &families[i]
		d := &describer{title: f.title, schemas: schemas, names: taken, done: map[structType]string{}}
		for _, create := range f.creates {
			c := create()
			d.fromClient, d.id = fromClients, f.IDMember(c.Type())
			m, err := d.message(c.Type(), c, shared, requestEnding)
			if err != nil {
				return nil, fmt.Errorf("aggregate %q: command %s: %w", f.Name(), c.Type(), err)
			}
			m.internal = f.IsInternal(c.Type())
			f.commands = append(f.commands, m)
		}
		for _, wire := range f.EventTypes() {
			d.fromClient, d.id = false, ""
			m, err := d.message(wire, f.NewEvent(wire), shared, historyEvent, changeEnding)
			if err != nil {
				return nil, fmt.Errorf("aggregate %q: event %s: %w", f.Name(), wire, err)
			}
			f.events = append(f.events, m)
		}
		f.id = f.idSchema(schemas)
	}
	return families, nil
}

// sharedNames are the names of Go types in messages of several aggregates.
func sharedNames(registry *aggregate.Registry) map[string]bool {
	of, shared := map[string]*aggregate.Type{}, map[string]bool{}
	add := func(t *aggregate.Type, v any) {
		name := baseName(reflect.TypeOf(v).Elem())
		if other, ok := of[name]; ok && other != t {
			shared[name] = true
		}
		of[name] = t
	}
	for _, t := range registry.Types() {
		for _, create := range t.Commands() {
			add(t, create())
		}
		for _, wire := range t.EventTypes() {
			add(t, t.NewEvent(wire))
		}
	}
	return shared
}

// idSchema is the schema of an id in a path: the schema that all commands have
// for the id, or any id.
func (f *family) idSchema(schemas object) object {
	var of reflect.Type
	var id object
	for i, create := range f.creates {
		c := create()
		t := reflect.TypeOf(c).Elem()
		for j := range t.NumField() {
			member, _, _ := strings.Cut(t.Field(j).Tag.Get("json"), ",")
			if member != f.IDMember(c.Type()) {
				continue
			}
			if of != nil && of != t.Field(j).Type {
				return anyID()
			}
			of = t.Field(j).Type
			id = in(schemas, f.commands[i].schema, "properties", member)
		}
	}
	if id == nil {
		return anyID()
	}
	return id
}

// anyID describes the ids that the router takes.
func anyID() object {
	return object{
		"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\x00-\x1F\x7F-\u009F]*$",
		"not": object{"enum": []any{".", ".."}}, "examples": []any{"1"},
	}
}
