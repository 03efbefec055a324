package service

import (
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/reaction"
)

var update = flag.Bool("update", false, "write the golden files")

// TestMain makes this binary the program too: under the name app, which is in
// the PATH of all tests, it is main. So what the tests start is real
// processes, with the race detector in them, that can be killed.
func TestMain(m *testing.M) {
	program = "app" // in this process too
	testscript.Main(m, map[string]func(){"app": func() {
		carryWiderUsers()
		os.Exit(Main(testDomain(os.Getenv)))
	}, "hold": holdConnections})
}

// testDomain is the shipped service, and what a test adds by variables: see
// [stack.setenv].
func testDomain(getenv func(string) string) Domain {
	d, of := domain, users.Definition
	of.Commands, of.Events = slices.Clone(of.Commands), slices.Clone(of.Events)
	if getenv(brokenRule) != "" {
		of.Commands = append(of.Commands, func() aggregate.Command[users.User] { return new(breakUser) })
	}
	if getenv(withClaims) == "" {
		of.Claims = nil // and the log has the commands of clients alone
	}
	if getenv(newerEvent) != "" {
		of.Events = append(of.Events, func() aggregate.Event[users.User] { return new(userTagged) })
	}
	d.Aggregates = []*aggregate.Type{aggregate.Of(of)}
	if release := getenv(withOrders); release != "" {
		of := ordersOf(release)
		d.Aggregates = append(d.Aggregates, of)
		d.Models = append(slices.Clone(d.Models), orderListOf(of))
	}
	if getenv(withReaction) != "" {
		d.Reactions = []*reaction.Reaction{welcoming}
	}
	return d
}

// allModels are all read models of the service under test.
func (s *stack) allModels() []*projection.Projection {
	s.t.Helper()
	service, err := testDomain(func(name string) string { return s.shared[name] }).register()
	if err != nil {
		s.t.Fatal(err)
	}
	return service.projections()
}

// registeredDomain is the shipped service.
func registeredDomain(t *testing.T) *registered {
	t.Helper()
	service, err := domain.register()
	if err != nil {
		t.Fatal(err)
	}
	return service
}
