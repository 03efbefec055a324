package documents

import "maps"

// AsyncAPI describes the topics: their keys and headers, and every command and
// record with its body.
func AsyncAPI() []byte {
	doc := load("asyncapi.yaml")
	components := as[object](doc["components"])
	schemas, messages := as[object](components["schemas"]), as[object](components["messages"])
	commands, events := payloads(schemas)
	add := func(channel, headers string, all []payload) {
		of := as[object](as[object](as[object](doc["channels"])[channel])["messages"])
		for _, p := range all {
			messages[p.wire] = object{
				"name": p.wire, "title": p.schema, "headers": ref(headers), "payload": ref(p.schema),
			}
			of[p.wire] = object{"$ref": "#/components/messages/" + p.wire}
		}
	}
	add("commands", "CommandHeaders", commands)
	add("events", "RecordHeaders", events)
	for name, message := range messages {
		bound := maps.Clone(as[object](message))
		bound["bindings"] = object{"kafka": object{"key": object{"type": "string", "minLength": 1, "description": "The stream: the text of the user's id."}}}
		messages[name] = bound
	}
	only(doc)
	return encode(doc)
}
