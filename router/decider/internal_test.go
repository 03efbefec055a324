package decider

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
)

// withInternal makes a type of commands internal, and lets a test have commands of
// its own.
func withInternal(t *testing.T, commandType string, more ...func() aggregate.Command[users.User]) {
	t.Helper()
	before, d := registry, users.Definition
	d.Commands, d.Claims = slices.Clone(more), nil
	for _, create := range users.Definition.Commands {
		if create().Type() == commandType {
			d.Internal = append(slices.Clone(d.Internal), create)
		} else {
			d.Commands = append(d.Commands, create)
		}
	}
	var err error
	if registry, err = aggregate.NewRegistry(aggregate.Of(d)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry = before })
}

// An internal command is decided if a reaction has sent the command, and refused
// otherwise, whatever the state. Another process that folds the log knows the same
// outcome.
func TestInternalCommand(t *testing.T) {
	withInternal(t, "renameUser")
	log, tp := newFakeLog(), new(topic)
	s := serve(t, log)
	s.take(tp.command("renameUser", "u", "Ann", "early"), tp.command("createUser", "u", "Ann", "new"),
		tp.command("renameUser", "u", "Bea", "late"), ofReaction(tp.command("renameUser", "u", "Cyd", ""), 7))
	s.drain()
	const refused = `commandRefused {"commandType":"renameUser","problem":"command-internal","detail":"reactions alone send this command"}`
	wantRecordsEnd(t, log, refused, `userCreated {"id":"u","name":"Ann"}`, refused, `userRenamed {"id":"u","name":"Cyd"}`)
	s.stop()
	s = serveWith(t, NewStateStore(log, registry, 1, 128, slog.New(slog.DiscardHandler)), log)
	if err := s.states.CatchUp(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if o, _ := s.states.Outcome("user/u", "late"); o.Kind != Refused || o.Refusal.Slug != "command-internal" || o.Refusal.Kind != aggregate.Invalid {
		t.Errorf("the outcome is %+v", o)
	}
}

// A client's command that has waited in the log since a release whose clients sent
// its type is refused at its turn, and the stream goes on.
func TestInternalCommandThatHasWaited(t *testing.T) {
	mended := withBrokenRule(t)
	log, tp := newFakeLog(), new(topic)
	parkOne(t, log, tp)
	*mended = true
	withInternal(t, "renameUser", func() aggregate.Command[users.User] { return new(brokenRule) })
	s := serve(t, log)
	s.take(tp.command("requeueParked", "u", "", "r"))
	s.drain()
	const refused = `commandRefused {"commandType":"renameUser","problem":"command-internal","detail":"reactions alone send this command"}`
	wantRecordsEnd(t, log, `parkedRequeued {"commandId":"2"}`, `userRenamed {"id":"u","name":"Bea"}`, refused, refused)
}
