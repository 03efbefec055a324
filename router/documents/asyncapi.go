package documents

import "maps"

// AsyncAPI describes the topics: keys, headers, and every command and record
// with its body. If [Check] has an error, AsyncAPI panics.
func AsyncAPI(d Description) []byte {
	text, err := asyncAPI(d)
	if err != nil {
		panic(err)
	}
	return text
}

func asyncAPI(d Description) ([]byte, error) {
	info, err := d.info()
	if err != nil {
		return nil, err
	}
	doc := load("asyncapi.yaml")
	maps.Copy(in(doc, "info"), info)
	families, err := familiesOf(d.Registry, in(doc, "components", "schemas"), false)
	if err != nil {
		return nil, err
	}
	messages := in(doc, "components", "messages")
	add := func(channel, headers, ending string, m message) {
		name := m.wire
		if _, taken := messages[name]; taken {
			name += ending
		}
		messages[name] = object{"name": m.wire, "title": m.schema, "headers": ref(headers), "payload": ref(m.schema)}
		in(doc, "channels", channel, "messages")[name] = object{"$ref": "#/components/messages/" + name}
	}
	for i := range families {
		for _, c := range families[i].commands {
			add("commands", "CommandHeaders", ".command", c)
		}
		for _, e := range families[i].events {
			add("events", "RecordHeaders", ".event", e)
		}
	}
	for _, message := range messages {
		addMissing(as[object](message), "bindings", object{"kafka": object{"key": ref("Stream")}})
	}
	if err := keepUsed(doc); err != nil {
		return nil, err
	}
	return encode(doc)
}
