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
		if m.internal {
			in(messages, name)["summary"] = "A reaction's command. A client's is refused."
		}
		in(doc, "channels", channel, "messages")[name] = object{"$ref": "#/components/messages/" + name}
	}
	for i := range families {
		for _, c := range families[i].commands {
			add("commands", "CommandHeaders", ".command", c)
		}
		for _, e := range families[i].events {
			add("events", "RecordHeaders", ".event", e)
		}
		addPublic(doc, &families[i])
	}
	delete(doc, "x-public") // the text of each public topic
	for _, message := range messages {
		addMissing(as[object](message), "bindings", object{"kafka": object{"key": ref("Stream")}})
	}
	if err := keepUsed(doc); err != nil {
		return nil, err
	}
	return encode(doc)
}

// addPublic adds the public topic of an aggregate, under the name that the topic
// has unless the configuration names another.
func addPublic(doc object, f *family) {
	channel := "public-" + f.Plural()
	refs := object{}
	for _, e := range f.events {
		name := e.wire + ".public"
		in(doc, "components", "messages")[name] = object{"name": e.wire, "title": e.schema, "headers": ref("PublicHeaders"), "payload": ref(e.schema)}
		refs[e.wire] = object{"$ref": "#/components/messages/" + name}
	}
	in(doc, "channels")[channel] = object{
		"address": f.Plural(), "title": "The events of " + f.Plural() + ", for other teams",
		"description": as[string](in(doc, "x-public")["description"]), "servers": []any{object{"$ref": "#/servers/kafka"}},
		"bindings": object{"kafka": object{"topic": f.Plural(), "topicConfiguration": object{"cleanup.policy": []any{"delete"}, "retention.ms": -1}}},
		"messages": refs,
	}
	in(doc, "operations")["send-"+channel] = object{
		"action": "send", "channel": object{"$ref": "#/channels/" + channel},
		"summary": "The command service sends each event that counts at least once.",
	}
}
