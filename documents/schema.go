package documents

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/millrace/millrace/handlers/users"
)

// object is one of a document.
type object = map[string]any

// described is a type of the domain that says itself what it takes.
type described interface{ Schema() map[string]any }

var describedType = reflect.TypeFor[described]()

func ref(name string) object { return object{"$ref": "#/components/schemas/" + name} }

// payloads adds the schemas of the domain's commands and events, and of what
// they are made of, and returns the names by type: "CreateUser" of createUser.
func payloads(schemas object) (commands, events []payload) {
	for _, create := range users.Commands {
		c := create()
		commands = append(commands, addPayload(schemas, c.Type(), c, true))
	}
	for _, create := range users.Events {
		e := create()
		events = append(events, addPayload(schemas, e.Type(), e, false))
	}
	return commands, events
}

// payload is the body of a command or an event.
type payload struct {
	wire   string // its name on the wire
	schema string // the name of its schema
}

// addPayload describes a struct as handlers' decoder reads it: each member is
// required unless its field is a pointer. What is unknown is refused in a
// command, and ignored in an event, which a newer binary may have written.
func addPayload(schemas object, wire string, v any, strict bool) payload {
	t := reflect.TypeOf(v).Elem()
	properties, required := object{}, []any{}
	for i := range t.NumField() {
		field := t.Field(i)
		member, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		of := field.Type
		if of.Kind() == reflect.Pointer {
			of = of.Elem()
		} else {
			required = append(required, member)
		}
		properties[member] = memberSchema(schemas, of)
	}
	schema := object{"type": "object", "properties": properties, "required": required}
	if strict {
		schema["additionalProperties"] = false
	}
	schemas[t.Name()] = schema
	return payload{wire, t.Name()}
}

// memberSchema describes a member. What it may be beyond a string, a bool and
// an integer a type has to say itself.
func memberSchema(schemas object, t reflect.Type) object {
	switch {
	case t.Implements(describedType):
		schemas["User"+t.Name()] = as[described](reflect.Zero(t).Interface()).Schema()
		return ref("User" + t.Name())
	case t.Kind() == reflect.String:
		return object{"type": "string"}
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() == reflect.Int64:
		return object{"type": "integer"}
	default:
		panic(fmt.Sprintf("%s needs a method Schema, as users.ID has one", t))
	}
}
