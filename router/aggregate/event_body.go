package aggregate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
)

// ErrUnknownEvent is returned for an event type, or an aggregate, that this
// binary does not know: a newer binary wrote the event.
var ErrUnknownEvent = errors.New("unknown event type")

// eventType is how events of a type are made and read.
type eventType struct {
	create func() AnyEvent
	fields []field
	// written says that a body is written as the fields stand: the fast way of
	// reading fits.
	written bool
}

// EncodeEvent writes an event's body, JSON, as the log keeps the body.
func (t *Type) EncodeEvent(event AnyEvent) ([]byte, error) {
	body, err := encode(event)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", event.Type(), err)
	}
	return body, nil
}

// DecodeEvent reads an event's body, JSON, in today's form: an old event is
// upcast. Members that are unknown are ignored, for a newer binary may have
// added them. A required member that is missing is an error, and so is a panic
// of a type that reads itself.
func (t *Type) DecodeEvent(eventType string, body []byte) (AnyEvent, error) {
	today, body, err := t.upcast(eventType, body)
	if err != nil {
		return nil, err
	}
	e, ok := t.events[today]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownEvent, today)
	}
	event, err := e.read(body)
	switch {
	case err == nil:
		return event, nil
	case today != eventType:
		return nil, fmt.Errorf("decode %s, upcast from %s: %w", today, eventType, err)
	default:
		return nil, fmt.Errorf("decode %s: %w", today, err)
	}
}

// read makes an error of a panic: a fold must not end by one body.
func (e eventType) read(body []byte) (event AnyEvent, err error) {
	defer func() {
		if value := recover(); value != nil {
			event, err = nil, fmt.Errorf("panicked: %v", value)
		}
	}()
	event = e.create()
	if !e.readWritten(body, event) {
		event = e.create()
		if err := json.Unmarshal(body, event); err != nil {
			return nil, err
		}
		if missing := e.missing(body); missing != "" {
			return nil, fmt.Errorf("the body has no %s", missing)
		}
	}
	if event.AggregateID() == "" {
		return nil, errors.New("the body has an empty id")
	}
	return event, nil
}

// missing names a required member that a body does not have, or has as null
// although the member is never written so.
func (e eventType) missing(body []byte) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return ""
	}
	for _, f := range e.fields {
		if value := members[f.name]; f.required && (len(value) == 0 || string(value) == "null" && !f.nullable) {
			return f.name
		}
	}
	return ""
}

// readWritten reads a body in the form in which this binary writes bodies,
// member for member, with plain texts and numbers, as nearly all bodies are.
// encoding/json, which reads all other bodies, takes several times as long. The
// result is false for a body in another form; the event is half read then.
func (e eventType) readWritten(body []byte, event AnyEvent) bool {
	if !e.written {
		return false
	}
	into := reflect.ValueOf(event).Elem()
	for i := range e.fields {
		rest, ok := bytes.CutPrefix(body, e.fields[i].before)
		if !ok {
			return false
		}
		value := plainValue(rest)
		body = rest[len(value):]
		if len(value) == 0 || !setPlain(into.Field(e.fields[i].index), value) {
			return false
		}
	}
	return string(body) == "}"
}

// setPlain sets a field to a plain value, if the value fits.
func setPlain(field reflect.Value, value []byte) bool {
	if own, ok := field.Addr().Interface().(json.Unmarshaler); ok {
		return own.UnmarshalJSON(value) == nil
	}
	switch field.Kind() {
	case reflect.String:
		if value[0] != '"' {
			return false
		}
		field.SetString(string(value[1 : len(value)-1]))
		return true
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(string(value), 10, field.Type().Bits())
		field.SetInt(n)
		return err == nil
	case reflect.Bool:
		field.SetBool(value[0] == 't')
		return value[0] == 't' || value[0] == 'f'
	default:
		return false
	}
}

// plainValue is the JSON value that data begins with, if the value is digits, a
// string that needs no unescaping, true or false; and nil otherwise.
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
	switch {
	case bytes.HasPrefix(data, []byte("true")):
		return data[:len("true")]
	case bytes.HasPrefix(data, []byte("false")):
		return data[:len("false")]
	case len(data) == 0 || data[0] != '"':
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
