package documents

import (
	"fmt"
	"maps"
)

// The endings of the names of schemas about a command or an event.
const (
	requestEnding = "Command"
	historyEvent  = "HistoryEvent"
	changeEnding  = "Change"
)

// OpenAPI describes the HTTP interface. With paths, such as /orders/{id}, the
// document has these paths alone, relative to the address that serves the
// document. If [Check] has an error, OpenAPI panics.
func OpenAPI(d Description, paths ...string) []byte {
	text, err := openAPI(d, paths)
	if err != nil {
		panic(err)
	}
	return text
}

func openAPI(d Description, served []string) ([]byte, error) {
	info, err := d.info()
	if err != nil {
		return nil, err
	}
	doc := load("openapi.yaml")
	maps.Copy(in(doc, "info"), info)
	paths := in(doc, "paths")
	families, err := addAggregates(doc, d)
	if err != nil {
		return nil, err
	}
	words := meaningsOf(d, families)
	for _, item := range paths {
		for _, method := range methods {
			if operation, ok := as[object](item)[method].(object); ok {
				if err := words.addProblems(operation, nil); err != nil {
					return nil, err
				}
			}
		}
	}
	if err := mergeFragments(doc, "x-of-fragments", d.Fragments, words); err != nil {
		return nil, err
	}
	if err := mergeFragments(doc, "x-of-admin", d.Admin, words); err != nil {
		return nil, fmt.Errorf("the admin address: %w", err)
	}
	addExamples(doc, families)
	if len(served) > 0 {
		doc["paths"] = only(paths, served)
		doc["servers"] = []any{object{"url": "/"}}
	}
	if err := keepUsed(doc); err != nil {
		return nil, err
	}
	return encode(doc)
}

// addAggregates adds the router's paths of each aggregate.
func addAggregates(doc object, d Description) ([]family, error) {
	components := in(doc, "components")
	schemas, parameters := in(components, "schemas"), in(components, "parameters")
	for _, own := range []string{"Command", "CommandType", "Change"} {
		schemas[own] = nil // the name is taken
	}
	families, err := familiesOf(d.Registry, schemas, true)
	if err != nil {
		return nil, err
	}
	for _, section := range []object{in(doc, "paths"), parameters} {
		if err := forEach(section, families); err != nil {
			return nil, err
		}
	}
	var changes []message
	var plurals []any
	for i := range families {
		f := &families[i]
		schemas[f.title+historyEvent] = eventUnion(schemas, historyEvent, f.events, nil)
		in(parameters, f.title+"ID")["schema"] = f.id
		changes = append(changes, f.events...)
		plurals = append(plurals, f.Plural())
	}
	schemas["Change"] = eventUnion(schemas, changeEnding, changes, object{"stream": ref("Stream")})
	in(parameters, "Of")["schema"] = object{"type": "string", "enum": plurals}
	addRequests(schemas, families)
	return families, nil
}

// only keeps the served paths.
func only(paths object, served []string) object {
	some := object{}
	for _, path := range served {
		if item, ok := paths[path].(object); ok {
			delete(item, "servers")
			some[path] = item
		}
	}
	return some
}

// addRequests describes the bodies of POST /commands.
func addRequests(schemas object, families []family) {
	var types, requests []any
	mapping := object{}
	for i := range families {
		for _, c := range families[i].commands {
			name := c.schema + requestEnding
			schemas[name] = object{
				"type": "object",
				"properties": object{
					"type":            object{"type": "string", "const": c.wire},
					"payload":         ref(c.schema),
					"id":              ref("CommandID"),
					"expectedVersion": ref("ExpectedVersion"),
					"notBefore":       ref("NotBefore"),
				},
				"required":             []any{"type", "payload"},
				"additionalProperties": false,
			}
			types, requests = append(types, c.wire), append(requests, ref(name))
			mapping[c.wire] = ref(name)["$ref"]
		}
	}
	types, requests = append(types, "cancelScheduled"), append(requests, ref("CancelScheduledCommand"))
	mapping["cancelScheduled"] = ref("CancelScheduledCommand")["$ref"]
	schemas["CommandType"] = object{"type": "string", "enum": types}
	schemas["Command"] = object{
		"oneOf":         requests,
		"discriminator": object{"propertyName": "type", "mapping": mapping},
	}
}

// eventUnion describes events in answers of the read API: each with the data of
// the type, and with more members.
func eventUnion(schemas object, ending string, events []message, more object) object {
	if len(events) == 0 {
		return object{"not": object{}} // nothing ever happens to the aggregate
	}
	var union []any
	mapping := object{}
	for _, e := range events {
		properties := object{
			"version":   ref("Version"),
			"type":      object{"type": "string", "const": e.wire},
			"time":      ref("Time"),
			"data":      ref(e.schema),
			"commandId": ref("CommandID"),
			"stale":     object{"type": "boolean", "enum": []bool{true}, "description": "There are later events that the read model can't apply."},
		}
		required := []any{"version", "type", "time", "data", "commandId"}
		for member, schema := range more {
			properties[member] = schema
			required = append(required, member)
		}
		of := e.schema + ending
		schemas[of] = object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
		union = append(union, ref(of))
		mapping[e.wire] = ref(of)["$ref"]
	}
	return object{"oneOf": union, "discriminator": object{"propertyName": "type", "mapping": mapping}}
}
