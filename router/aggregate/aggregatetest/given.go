package aggregatetest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/aggregate"
)

// History is the events of one aggregate, and the state after the events. A
// History never changes: several decisions can start from one.
type History struct {
	t      testing.TB
	of     *aggregate.Type
	events []aggregate.AnyEvent // as read from their bodies
	state  any                  // nil for the zero value
}

// Given is the history of one aggregate: none, or its events in order. Events
// are given as structs or as pointers to structs.
func Given(t testing.TB, of *aggregate.Type, events ...aggregate.AnyEvent) *History {
	t.Helper()
	if _, err := aggregate.NewRegistry(of); err != nil {
		t.Fatalf("%v", err)
	}
	h := &History{t: t, of: of}
	for _, event := range events {
		h = h.and(event)
	}
	return h
}

// ThenState checks the state after the events. The state of an aggregate
// without events is the zero value.
func (h *History) ThenState(want any) *History {
	h.t.Helper()
	body, err := h.of.EncodeState(want)
	if err != nil {
		h.fail("%v", err)
	}
	if read, err := h.of.DecodeState(body); err != nil || want == nil || reflect.TypeOf(read) != reflect.TypeOf(want) {
		h.fail("%T is no state of aggregate %s", want, h.of.Name())
	}
	state := h.state
	if state == nil {
		state = reflect.Zero(reflect.TypeOf(want)).Interface()
	}
	if !reflect.DeepEqual(state, want) {
		h.fail("the state is\n\t%+v\nwant\n\t%+v", state, want)
	}
	return h
}

// and is the history with one more event.
func (h *History) and(given aggregate.AnyEvent) *History {
	h.t.Helper()
	event := h.read(given)
	if len(h.events) > 0 && event.AggregateID() != h.events[0].AggregateID() {
		h.fail("event %s is of %s %q", h.text(event), h.of.Name(), event.AggregateID())
	}
	before := h.encode(h.state)
	state := h.of.Apply(h.state, event)
	after := h.encode(state)
	next := &History{t: h.t, of: h.of, events: append(slices.Clone(h.events), event), state: state}
	if err := h.of.SurvivesEncoding(state); err != nil {
		next.fail("%v", err)
	}
	if now := h.encode(h.state); !bytes.Equal(now, before) {
		h.fail("Apply of event %s changes the state that is there from %s to %s: return a changed copy", h.text(event), before, now)
	}
	if again := h.encode(h.of.Apply(h.decode(before), event)); !bytes.Equal(again, after) {
		h.fail("event %s, applied twice to one state, makes %s and %s", h.text(event), after, again)
	}
	next.checkClaims()
	for _, other := range next.events {
		applyAside(h.of, h.state, other)
		if now := h.encode(state); !bytes.Equal(now, after) {
			next.fail("the state shares a slice or a map with the state before: Apply of %s to the state before changes the state from %s to %s: "+
				"copy a slice or a map before it is changed", h.text(other), after, now)
		}
	}
	return next
}

// applyAside applies an event out of its order: a panic says nothing then.
func applyAside(of *aggregate.Type, state any, event aggregate.AnyEvent) {
	defer func() { _ = recover() }()
	of.Apply(state, event)
}

// read is an event as read from its body.
func (h *History) read(given aggregate.AnyEvent) aggregate.AnyEvent {
	h.t.Helper()
	if isNil(given) {
		h.fail("an event is nil")
	}
	body, err := h.of.EncodeEvent(given)
	if err != nil {
		h.fail("%v", err)
	}
	event, err := h.of.DecodeEvent(given.Type(), body)
	if err != nil {
		h.fail("event %s %s can't be read: %v", given.Type(), body, err)
	}
	if !same(given, event) {
		h.fail("event %s is written as %s, and read as another event:\n\t%+v\n\t%+v", given.Type(), body, value(given), value(event))
	}
	return event
}

func (h *History) encode(state any) []byte {
	h.t.Helper()
	body, err := h.of.EncodeState(state)
	if err != nil {
		h.fail("%v", err)
	}
	return body
}

func (h *History) decode(body []byte) any {
	h.t.Helper()
	state, err := h.of.DecodeState(body)
	if err != nil {
		h.fail("%v", err)
	}
	return state
}

func (h *History) fail(format string, args ...any) {
	h.t.Helper()
	h.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), h)
}

// String is the history as failures show it.
func (h *History) String() string {
	if len(h.events) == 0 {
		return "given no events\n"
	}
	var text strings.Builder
	text.WriteString("given\n")
	for _, event := range h.events {
		fmt.Fprintf(&text, "\t%s\n", h.text(event))
	}
	fmt.Fprintf(&text, "with the state\n\t%+v\n", h.state)
	return text.String()
}

// text is an event's type and body.
func (h *History) text(event aggregate.AnyEvent) string {
	body, err := h.of.EncodeEvent(event)
	if err != nil {
		return fmt.Sprintf("%s (%v)", event.Type(), err)
	}
	return fmt.Sprintf("%s %s", event.Type(), body)
}

// same compares two messages, each of them a struct or a pointer to a struct.
func same(a, b any) bool { return reflect.DeepEqual(value(a), value(b)) }

func value(message any) any {
	if v := reflect.ValueOf(message); v.Kind() == reflect.Pointer && !v.IsNil() {
		return v.Elem().Interface()
	}
	return message
}

func isNil(message any) bool {
	v := reflect.ValueOf(message)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}
