package documents

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxExampleDepth ends the examples of recursive types.
const maxExampleDepth = 8

// exampleTime is the time in all examples.
const exampleTime = "2026-11-22T17:02:15.403Z"

// exampleOf is a value for a schema, if the schema is simple enough, or has an
// example.
func exampleOf(schemas, schema object, depth int) (value any, ok bool) {
	if to, isRef := schema["$ref"].(string); isRef {
		component, isSchema := schemas[strings.TrimPrefix(to, "#/components/schemas/")].(object)
		return exampleBelow(schemas, component, isSchema, depth)
	}
	if examples, ok := schema["examples"].([]any); ok && len(examples) > 0 {
		return examples[0], true
	}
	switch schema["type"] {
	case "object":
		return exampleObject(schemas, schema, depth)
	case "array":
		items, isSchema := schema["items"].(object)
		item, ok := exampleBelow(schemas, items, isSchema, depth)
		return []any{item}, ok && has(schema, "items")
	case "boolean":
		return true, has(schema)
	case "integer", "number":
		return 1, has(schema, "minimum", "maximum", "format") && bound(schema["minimum"], -1) <= 1 && bound(schema["maximum"], 1) >= 1
	case "string":
		if schema["format"] == "date-time" {
			return exampleTime, has(schema, "format")
		}
		return "text", has(schema)
	}
	return nil, false
}

func exampleBelow(schemas, schema object, isSchema bool, depth int) (any, bool) {
	if !isSchema || depth == maxExampleDepth {
		return nil, false
	}
	return exampleOf(schemas, schema, depth+1)
}

func exampleObject(schemas, schema object, depth int) (any, bool) {
	value := object{}
	properties, _ := schema["properties"].(object)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		member, _ := name.(string)
		of, isSchema := properties[member].(object)
		v, ok := exampleBelow(schemas, of, isSchema, depth)
		if !ok {
			return nil, false
		}
		value[member] = v
	}
	return value, has(schema, "properties", "required", "additionalProperties")
}

// has says whether a schema demands nothing but the type and these members.
func has(schema object, members ...string) bool {
	for member := range schema {
		if member != "type" && member != "description" && !slices.Contains(members, member) {
			return false
		}
	}
	return true
}

// bound is a bound of numbers, or a default.
func bound(v any, otherwise float64) float64 {
	n, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		return otherwise
	}
	return n
}

// addExamples makes examples of the first aggregate, as far as the schemas of
// the messages have any.
func addExamples(doc object, families []family) {
	schemas := in(doc, "components", "schemas")
	for i := range families {
		f := &families[i]
		id, ok := exampleOf(schemas, f.id, 0)
		if !ok {
			id = "1"
		}
		text := fmt.Sprint(id)
		if _, err := f.ParseID(text); err != nil {
			continue
		}
		in(doc, "components", "parameters", f.title+"ID")["example"] = text
		answers(doc, "/"+f.Plural()+"/{id}/commands/{command}", "get")["example"] = object{
			"id": "c-1", "stream": f.Stream(text), "status": "succeeded", "version": 1, "position": "AQMB",
		}
		f.addHistoryExample(doc, schemas)
		if i == 0 {
			f.addCommandExamples(doc, schemas, text)
		}
	}
}

// answers are the successful answers of an operation, in JSON.
func answers(doc object, path, method string) object {
	return in(doc, "paths", path, method, "responses", "200", "content", "application/json")
}

func (f *family) addHistoryExample(doc, schemas object) {
	for i, e := range f.events {
		data, ok := exampleOf(schemas, ref(e.schema), 0)
		if ok {
			answers(doc, "/"+f.Plural()+"/{id}/history", "get")["example"] = []any{object{
				"version": i + 1, "type": e.wire, "time": exampleTime, "data": data, "commandId": "c-" + strconv.Itoa(i+1),
			}}
			return
		}
	}
}

func (f *family) addCommandExamples(doc, schemas object, id string) {
	examples, lines := object{}, ""
	for i, c := range f.commands {
		payload, ok := exampleOf(schemas, ref(c.schema), 0)
		if !ok {
			continue
		}
		value := object{"type": c.wire, "payload": payload, "id": "c-" + strconv.Itoa(i+1)}
		examples[c.wire] = object{"value": value}
		if line, err := json.Marshal(value); err == nil {
			lines += string(line) + "\n"
		}
	}
	if len(examples) > 0 {
		bodies := in(doc, "paths", "/commands", "post", "requestBody", "content")
		in(bodies, "application/json")["examples"] = examples
		in(bodies, "application/x-ndjson")["example"] = lines
	}
	wire := f.commands[0].wire
	answers(doc, "/commands", "post")["example"] = object{
		"id": "c-1", "type": wire, "status": "succeeded", "stream": f.Stream(id), "version": 1, "position": "AQMB",
	}
	in(doc, "paths", "/commands", "post", "responses", "202", "content", "application/json")["example"] = object{
		"id": "c-1", "type": wire, "status": "accepted",
	}
}
