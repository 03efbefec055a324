package decider

import (
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/testing/protocol"
)

// walkersCommand is a command that a binary decides like the model.
type walkersCommand struct {
	ID   users.ID      `json:"id"`
	Name users.Name    `json:"name"`
	Verb protocol.Verb `json:"verb"`
}

// walkersBinary decides a walker's commands.
var walkersBinary *protocol.Binary

const newerName = "newer "

func (walkersCommand) Type() string          { return "walkUser" }
func (c walkersCommand) AggregateID() string { return string(c.ID) }

func (c walkersCommand) Decide(u users.User) (aggregate.Event[users.User], error) {
	exists, name := u.Status != users.Absent, c.Name
	if walkersBinary.New {
		name = newerName + name
	}
	switch {
	case c.Verb == protocol.Touchy && !walkersBinary.New:
		panic("touchy")
	case c.Verb == protocol.Create && exists:
		return nil, users.ErrExists
	case c.Verb == protocol.Rename && !exists:
		return nil, users.ErrNotFound
	case !exists:
		return users.UserCreated{ID: c.ID, Name: name}, nil
	case name == u.Name:
		return nil, nil
	default:
		return users.UserRenamed{ID: c.ID, Name: name}, nil
	}
}

// novelCommand is a command that only the newer binary knows.
type novelCommand struct {
	ID   users.ID   `json:"id"`
	Name users.Name `json:"name"`
}

func (novelCommand) Type() string          { return "walkUserAnew" }
func (c novelCommand) AggregateID() string { return string(c.ID) }

func (c novelCommand) Decide(u users.User) (aggregate.Event[users.User], error) {
	return walkersCommand{c.ID, c.Name, protocol.Novel}.Decide(u)
}

// olderRegistry has no novelCommand.
var olderRegistry *aggregate.Registry

// runsBinary adds the walkers' commands to the registries, because deferred
// commands are decoded again, and returns the binary for the decisions.
func runsBinary(t *testing.T) *protocol.Binary {
	t.Helper()
	walkersBinary = new(protocol.Binary)
	walkers := func() aggregate.Command[users.User] { return new(walkersCommand) }
	olderRegistry = registryOf(walkers)
	withCommand(t, walkers, func() aggregate.Command[users.User] { return new(novelCommand) })
	return walkersBinary
}
