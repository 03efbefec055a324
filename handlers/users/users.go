// Package users is the aggregate "user": the state of a user, and the rules of
// six commands. The package is pure (no clock, no random numbers, no I/O) and
// imports nothing but the contract.
//
// A command and the event of the command share a file with the name of the
// command. To add a command, write such a file, and add a line to Commands and a
// line to Events in [Definition].
package users

import "github.com/millrace/millrace/router/aggregate"

// Aggregate is the aggregate "user", as a service registers it.
var Aggregate = aggregate.Of(Definition)

// Definition lists everything about a user.
var Definition = aggregate.Definition[User]{
	Name:   "user",
	Plural: "users",
	ParseID: func(text string) (string, error) {
		id, err := ParseID(text)
		return string(id), err
	},
	Commands: []func() aggregate.Command[User]{
		func() aggregate.Command[User] { return new(CreateUser) },
		func() aggregate.Command[User] { return new(RenameUser) },
		func() aggregate.Command[User] { return new(DeactivateUser) },
		func() aggregate.Command[User] { return new(ReactivateUser) },
		func() aggregate.Command[User] { return new(DeleteUser) },
		func() aggregate.Command[User] { return new(ChangeEmail) },
	},
	Events: []func() aggregate.Event[User]{
		func() aggregate.Event[User] { return new(UserCreated) },
		func() aggregate.Event[User] { return new(UserRenamed) },
		func() aggregate.Event[User] { return new(UserDeactivated) },
		func() aggregate.Event[User] { return new(UserReactivated) },
		func() aggregate.Event[User] { return new(UserDeleted) },
		func() aggregate.Event[User] { return new(UserEmailChanged) },
	},
	Refusals: []*aggregate.Refusal{ErrExists, ErrNotFound, ErrDeleted, ErrAlreadyInactive, ErrAlreadyActive, ErrEmailTaken},
	Claims:   func(u User) []aggregate.Claim { return u.Email.claims() },
}

// Status says where a user is in life.
type Status uint8

// The statuses of a user. A deleted user stays deleted: an id is never used
// again.
const (
	Absent Status = iota
	Active
	Inactive
	Deleted
)

// User is the state of a user: everything that decides the user's next command.
// The zero value is a user whom nobody created.
type User struct {
	Name   Name   `json:"name,omitempty"`
	Status Status `json:"status"`
	Email  Email  `json:"email,omitempty"`
}
