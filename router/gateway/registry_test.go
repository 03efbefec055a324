package gateway

import (
	"slices"
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
)

// registry has the aggregate of users, and the command of a test.
var registry = registryOf()

func registryOf(more ...func() aggregate.Command[users.User]) *aggregate.Registry {
	d := users.Definition
	d.Commands = append(slices.Clone(d.Commands), more...)
	r, err := aggregate.NewRegistry(aggregate.Of(d))
	if err != nil {
		panic(err)
	}
	return r
}

// withCommand lets a test have a command of its own.
func withCommand(t *testing.T, create func() aggregate.Command[users.User]) {
	t.Helper()
	before := registry
	registry = registryOf(create)
	t.Cleanup(func() { registry = before })
}
