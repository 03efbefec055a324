// Package users is the domain: what a user is, and the rules of the five
// commands about one. It is pure (no clock, no random numbers, no I/O), so a
// decision taken again is the same decision, and it stands on the standard
// library alone.
//
// A command and its event live in one file, named for the command. To add a
// command, write such a file and add a line to [Commands] and one to [Events].
package users

import "errors"

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
