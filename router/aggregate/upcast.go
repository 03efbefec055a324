package aggregate

import (
	"bytes"
	"errors"
	"fmt"
)

// Upcast turns an event of an earlier release into one of a later release when
// the event is read. The log is never rewritten: a new form of an event gets a
// new type, and its old type gets an upcast. Upcasts follow one another.
type Upcast struct {
	// From is the old event type, which no event of the definition has any more.
	From string
	// To is the event type that Body makes: one of the definition's events, or
	// the From of another upcast.
	To string
	// Body makes the new body, JSON, of the old body. Body is pure, like Apply.
	Body func(old []byte) (body []byte, err error)
}

// upcast returns today's type and body of an event.
func (t *Type) upcast(eventType string, body []byte) (string, []byte, error) {
	for {
		u, ok := t.upcasts[eventType]
		if !ok {
			return eventType, body, nil
		}
		newer, err := u.apply(body)
		if err != nil {
			return "", nil, fmt.Errorf("upcast %s to %s: %w", u.From, u.To, err)
		}
		eventType, body = u.To, newer
	}
}

// apply makes an error of a panic: a fold must not end by one body.
func (u Upcast) apply(body []byte) (newer []byte, err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("panicked: %v", value)
		}
	}()
	return u.Body(bytes.Clone(body)) // the log's own text stays as it is
}

// checkUpcasts says what is wrong with the upcasts of a type whose events are
// known.
func (t *Type) checkUpcasts(upcasts []Upcast) error {
	t.upcasts = map[string]Upcast{}
	for _, u := range upcasts {
		switch _, current := t.events[u.From]; {
		case u.From == "" || u.To == "" || u.Body == nil:
			return errors.New("an upcast lacks From, To or Body")
		case current:
			return fmt.Errorf("event %q is upcast, and is one of the events of today", u.From)
		}
		if _, twice := t.upcasts[u.From]; twice {
			return fmt.Errorf("event %q is upcast twice", u.From)
		}
		t.upcasts[u.From] = u
	}
	for _, u := range upcasts {
		to, seen := u.To, map[string]bool{u.From: true}
		for {
			next, ok := t.upcasts[to]
			if !ok {
				break
			}
			if seen[to] {
				return fmt.Errorf("the upcasts of event %q go round in a circle", u.From)
			}
			seen[to] = true
			to = next.To
		}
		if _, ok := t.events[to]; !ok {
			return fmt.Errorf("event %q is upcast to %q, which no event of the aggregate is", u.From, to)
		}
	}
	return nil
}
