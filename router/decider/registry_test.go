package decider

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
	d.Commands, d.Claims = append(slices.Clone(d.Commands), more...), claimsOfWalkers
	r, err := aggregate.NewRegistry(aggregate.Of(d))
	if err != nil {
		panic(err)
	}
	return r
}

// nameOf is the name of a user in a state store, "" if there is no such user.
func nameOf(p *processor, name string) users.Name {
	s := p.stream(name)
	if s == nil {
		return ""
	}
	u, ok := s.state.(users.User)
	if !ok {
		return ""
	}
	return u.Name
}

// withCommand lets a test have commands of its own.
func withCommand(t *testing.T, create ...func() aggregate.Command[users.User]) {
	t.Helper()
	before := registry
	registry = registryOf(create...)
	t.Cleanup(func() { registry = before })
}
