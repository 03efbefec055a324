package documents

// OpenAPI describes the HTTP interface. Given paths, as /users/{id}, it is the
// document that a service with these paths serves, all of them relative to
// where it is served; without, that of the whole interface.
func OpenAPI(paths ...string) []byte {
	doc := load("openapi.yaml")
	if len(paths) > 0 {
		doc["servers"] = []any{object{"url": "/"}}
		all := as[object](doc["paths"])
		served := object{}
		for _, path := range paths {
			if item, ok := all[path].(object); ok {
				delete(item, "servers")
				served[path] = item
			}
		}
		doc["paths"] = served
	}
	for _, item := range as[object](doc["paths"]) {
		for _, member := range as[object](item) {
			if operation, ok := member.(object); ok {
				addProblems(operation)
			}
		}
	}
	schemas := as[object](as[object](doc["components"])["schemas"])
	commands, events := payloads(schemas)
	addRequests(schemas, commands)
	schemas["HistoryEvent"] = eventUnion(schemas, "HistoryEvent", events, nil)
	schemas["Change"] = eventUnion(schemas, "Change", events, object{"user": ref("UserID")})
	only(doc)
	return encode(doc)
}

// addRequests describes the bodies of POST /commands.
func addRequests(schemas object, commands []payload) {
	var types, requests []any
	mapping := object{}
	for _, c := range commands {
		name := c.schema + "Command"
		schemas[name] = object{
			"type": "object",
			"properties": object{
				"type":            object{"const": c.wire},
				"payload":         ref(c.schema),
				"id":              ref("CommandID"),
				"expectedVersion": ref("ExpectedVersion"),
			},
			"required":             []any{"type", "payload"},
			"additionalProperties": false,
		}
		types, requests = append(types, c.wire), append(requests, ref(name))
		mapping[c.wire] = ref(name)["$ref"]
	}
	schemas["CommandType"] = object{"type": "string", "enum": types}
	schemas["Command"] = object{
		"oneOf":         requests,
		"discriminator": object{"propertyName": "type", "mapping": mapping},
	}
}

// eventUnion describes events as the read API shows them, each with the data of
// its type, and what else it has.
func eventUnion(schemas object, name string, events []payload, more object) object {
	var union []any
	mapping := object{}
	for _, e := range events {
		properties := object{
			"version":   ref("Version"),
			"type":      object{"const": e.wire},
			"time":      ref("Time"),
			"data":      ref(e.schema),
			"commandId": ref("CommandID"),
			"stale":     object{"const": true, "description": "There are later events that the read model can't apply."},
		}
		required := []any{"version", "type", "time", "data", "commandId"}
		for member, schema := range more {
			properties[member] = schema
			required = append(required, member)
		}
		of := e.schema + name
		schemas[of] = object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
		union = append(union, ref(of))
		mapping[e.wire] = ref(of)["$ref"]
	}
	return object{"oneOf": union, "discriminator": object{"propertyName": "type", "mapping": mapping}}
}
