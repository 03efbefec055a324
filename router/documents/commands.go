package documents

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Command describes a command to programs that write commands.
type Command struct {
	Type      string
	Aggregate string
	// Schema is the JSON Schema (draft 2020-12) of the command's payload. The
	// schema stands alone: its references lead to its own $defs.
	Schema json.RawMessage
	// Example is an example of a payload, nil if none could be made.
	Example json.RawMessage
}

// Commands describes all commands of clients, in the order of the registry. If
// [Check] has an error, Commands panics.
func Commands(d Description) []Command {
	all, err := commands(d)
	if err != nil {
		panic(err)
	}
	return all
}

func commands(d Description) (all []Command, err error) {
	schemas := in(load("openapi.yaml"), "components", "schemas")
	families, err := familiesOf(d.Registry, schemas, true)
	if err != nil {
		return nil, err
	}
	for i := range families {
		for _, c := range families[i].commands {
			command := Command{Type: c.wire, Aggregate: families[i].Name()}
			if example, ok := exampleOf(schemas, ref(c.schema), 0); ok {
				if command.Example, err = json.Marshal(example); err != nil {
					return nil, fmt.Errorf("the example of %s: %w", c.wire, err)
				}
			}
			if command.Schema, err = json.Marshal(alone(schemas, c.schema)); err != nil {
				return nil, fmt.Errorf("the schema of %s: %w", c.wire, err)
			}
			all = append(all, command)
		}
	}
	return all, nil
}

const componentSchemas = "#/components/schemas/"

// alone is a schema with its references in $defs.
func alone(schemas object, name string) object {
	defs := object{}
	var copied func(v any) any
	copied = func(v any) any {
		switch v := v.(type) {
		case object:
			out := make(object, len(v))
			for member, of := range v {
				to, isText := of.(string)
				other, isRef := strings.CutPrefix(to, componentSchemas)
				if member != "$ref" || !isText || !isRef {
					out[member] = copied(of)
					continue
				}
				out[member] = "#/$defs/" + other
				if _, done := defs[other]; !done {
					defs[other] = nil // a type may be inside itself
					defs[other] = copied(schemas[other])
				}
			}
			return out
		case []any:
			out := make([]any, len(v))
			for i := range v {
				out[i] = copied(v[i])
			}
			return out
		default:
			return v
		}
	}
	schema := as[object](copied(schemas[name]))
	if len(defs) > 0 {
		schema["$defs"] = defs
	}
	return schema
}
