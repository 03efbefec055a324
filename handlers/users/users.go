// Package users is the domain: what a user is, and the rules of the five
// commands about one. It is pure (no clock, no random numbers, no I/O), so a
// decision taken again is the same decision, and it stands on the standard
// library alone.
//
// A command and its event live in one file, named for the command. To add a
// command, write such a file and add a line to [Commands] and one to [Events].
package users

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// Status says where a user is in life.
type Status uint8

// The states of a user. A deleted user stays deleted: an id is never used
// again.
const (
	Absent Status = iota
	Active
	Inactive
	Deleted
)

// User is the aggregate: what the write side has to know of a user to decide
// its next command. The zero value is a user who was never created.
type User struct {
	Name   Name
	Status Status
}

// Command is a wish about one user.
type Command interface {
	// Type is the command's name on the wire, as "renameUser".
	Type() string
	// Stream names the user's history: the text of the user's id.
	Stream() string
	// Decide holds the rule. It returns the event that the command makes of
	// this user, nil when there is nothing to change, or a [Refusal].
	Decide(User) (Event, error)
}

// Event is what happened to one user.
type Event interface {
	// Type is the event's name on the wire, as "userRenamed".
	Type() string
	// Stream names the user's history: the text of the user's id.
	Stream() string
	// Apply returns the user after the event.
	Apply(User) User
}

// Commands makes an empty command of each type.
var Commands = []func() Command{
	func() Command { return new(CreateUser) },
	func() Command { return new(RenameUser) },
	func() Command { return new(DeactivateUser) },
	func() Command { return new(ReactivateUser) },
	func() Command { return new(DeleteUser) },
}

// Events makes an empty event of each type.
var Events = []func() Event{
	func() Event { return new(UserCreated) },
	func() Event { return new(UserRenamed) },
	func() Event { return new(UserDeactivated) },
	func() Event { return new(UserReactivated) },
	func() Event { return new(UserDeleted) },
}

// ErrUnknownEvent is returned for an event type that this binary does not
// know: a newer one wrote it.
var ErrUnknownEvent = errors.New("unknown event type")

// newEvent makes an empty event of a type, by its name on the wire.
var newEvent = sync.OnceValue(func() map[string]func() Event {
	byType := map[string]func() Event{}
	for _, create := range Events {
		byType[create().Type()] = create
	}
	return byType
})

// DecodeEvent reads an event's body, JSON, as its type says. Unknown members
// are ignored: a newer binary may have added them. Texts that are missing are
// an error: nobody wrote such an event.
func DecodeEvent(eventType string, body []byte) (Event, error) {
	create, ok := newEvent()[eventType]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownEvent, eventType)
	}
	event := create()
	if err := json.Unmarshal(body, event); err != nil {
		return nil, fmt.Errorf("decode %s: %w", eventType, err)
	}
	if event.Stream() == "" {
		return nil, fmt.Errorf("decode %s: it names no user", eventType)
	}
	if missing := missingText(event); missing != "" {
		return nil, fmt.Errorf("decode %s: it has no %s", eventType, missing)
	}
	return event, nil
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
