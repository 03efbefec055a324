package users

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"sync"
)

// eventType is how events of a type are made and read.
type eventType struct {
	create func() Event
	// before stands before the value of each field in a body as it is written:
	// nil if not every field reads its own JSON.
	before []string
}

// eventTypes are all of them, by their name on the wire.
var eventTypes = sync.OnceValue(func() map[string]eventType {
	byName := map[string]eventType{}
	for _, create := range Events {
		byName[create().Type()] = eventType{create, membersOf(create())}
	}
	return byName
})

func membersOf(event Event) (before []string) {
	fields := reflect.ValueOf(event).Elem()
	for i := range fields.NumField() {
		name, ok := fields.Type().Field(i).Tag.Lookup("json")
		if _, reads := fields.Field(i).Addr().Interface().(json.Unmarshaler); !reads || !ok || strings.Contains(name, ",") {
			return nil
		}
		before = append(before, `,"`+name+`":`)
	}
	if len(before) > 0 {
		before[0] = "{" + before[0][1:]
	}
	return before
}

// DecodeEvent reads an event's body, JSON, as its type says. Unknown members
// are ignored: a newer binary may have added them. Texts that are missing are
// an error: nobody wrote such an event.
func DecodeEvent(name string, body []byte) (Event, error) {
	t, ok := eventTypes()[name]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownEvent, name)
	}
	event := t.create()
	if !t.readWritten(body, event) {
		event = t.create()
		if err := json.Unmarshal(body, event); err != nil {
			return nil, fmt.Errorf("decode %s: %w", name, err)
		}
	}
	if event.Stream() == "" {
		return nil, fmt.Errorf("decode %s: it names no user", name)
	}
	if missing := missingText(event); missing != "" {
		return nil, fmt.Errorf("decode %s: it has no %s", name, missing)
	}
	return event, nil
}

// readWritten reads a body that is as this binary writes it, member for member,
// with plain texts and numbers: as nearly all are. It takes a fraction of what
// encoding/json does, which reads all others. It says false, whatever it has
// set, if the body isn't such a one.
func (t eventType) readWritten(body []byte, event Event) bool {
	fields := reflect.ValueOf(event).Elem()
	for i, before := range t.before {
		rest, ok := bytes.CutPrefix(body, []byte(before))
		if !ok {
			return false
		}
		value := plainValue(rest)
		body = rest[len(value):]
		field, ok := fields.Field(i).Addr().Interface().(json.Unmarshaler)
		if !ok || len(value) == 0 || field.UnmarshalJSON(value) != nil {
			return false
		}
	}
	return len(t.before) > 0 && string(body) == "}"
}

// plainValue is the JSON number or string that data begins with, if it is
// digits or needs no unescaping, and nil otherwise.
func plainValue(data []byte) []byte {
	n := 0
	for n < len(data) && '0' <= data[n] && data[n] <= '9' {
		n++
	}
	if n > 0 {
		if data[0] == '0' && n > 1 {
			return nil // no JSON
		}
		return data[:n]
	}
	if len(data) == 0 || data[0] != '"' {
		return nil
	}
	for i, c := range data[1:] {
		switch {
		case c == '"':
			return data[:i+2]
		case c < ' ' || c > '~' || c == '\\':
			return nil
		}
	}
	return nil
}

// plainText is the text of a JSON string that is nothing but a plain value.
func plainText(data []byte) (text string, ok bool) {
	if value := plainValue(data); len(value) < 2 || len(value) != len(data) || value[0] != '"' {
		return "", false
	}
	return string(data[1 : len(data)-1]), true
}

// missingText names a text that isn't in the body of an event. None of them
// may be empty, and encoding/json doesn't ask a type about what isn't there.
func missingText(event Event) string {
	fields := reflect.ValueOf(event).Elem()
	for i := range fields.NumField() {
		if field := fields.Field(i); field.Kind() == reflect.String && field.Len() == 0 {
			return fields.Type().Field(i).Name
		}
	}
	return ""
}
