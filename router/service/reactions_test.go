package service

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/reaction"
)

// withReaction adds the reaction "welcoming" to the program. If the value is
// "failing", the reaction fails at users with the name Boom.
const withReaction = "TEST_REACTION"

// welcoming opens an order for each new user, adds an item for each new name, and
// renames the user whose item was refused.
var welcoming = &reaction.Reaction{
	Name: "welcoming", Of: []string{"user"},
	React: func(r reaction.Record) ([]reaction.Command, error) {
		item := func(name users.Name) ([]reaction.Command, error) {
			if name == "Boom" && os.Getenv(withReaction) == "failing" {
				return nil, errors.New("no welcome")
			}
			return []reaction.Command{reaction.Send(addItem{"u" + r.AggregateID, string(name)})}, nil
		}
		switch e := r.Event.(type) {
		case *users.UserCreated:
			return item(e.Name)
		case *users.UserRenamed:
			return item(e.Name)
		}
		if r.Ended != nil && r.Ended.Refusal == "order-paid" {
			refused := r.Ended.Command.(*addItem) //nolint:errcheck // nothing else is refused so
			return []reaction.Command{reaction.Send(users.DeactivateUser{ID: users.ID(refused.Order[1:])})}, nil
		}
		return nil, nil
	},
}

// welcome is a stack with the reaction.
func welcome(t *testing.T) *stack {
	t.Helper()
	s := newStack(t)
	s.setenv(withOrders, "1")
	s.setenv(withReaction, "1")
	return s
}

// end ends a service as a supervisor does.
func (s *service) end(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	if code := s.exit(t, patience); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// waitForItems waits until orders have so many items.
func (s *stack) waitForItems(order string, want ...string) {
	s.t.Helper()
	eventually(s.t, "order "+order, func() error {
		var items []string
		for _, r := range s.history()["order/"+order] {
			if r.Type == "itemAdded" {
				items = append(items, string(r.Body))
			}
		}
		var wanted []string
		for _, item := range want {
			wanted = append(wanted, fmt.Sprintf(`{"order":%q,"item":%q}`, order, item))
		}
		if got, want := strings.Join(items, " "), strings.Join(wanted, " "); got != want {
			return fmt.Errorf("has %s, want %s", got, want)
		}
		return nil
	})
}

// A reaction sends commands to another aggregate, and sees how they end. Nothing
// is sent again by a restart, a new state store, a verification or a rebuild.
func TestReaction(t *testing.T) {
	t.Parallel()
	s := welcome(t)
	s.startTerminals()
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"Ann"}}`)
	s.waitForItems("u1", "Ann")
	s.accept(`{"type":"renameUser","payload":{"id":1,"name":"Eve"}}`)
	s.waitForItems("u1", "Ann", "Eve")
	s.accept(`{"type":"payOrder","payload":{"order":"u1"}}`)
	s.wait(`{"type":"renameUser","payload":{"id":1,"name":"Joe"}}`)
	var last eventlog.Record
	eventually(t, "the user to be deactivated", func() error {
		records := s.history()["user/1"]
		if last = records[len(records)-1]; last.Type != "userDeactivated" {
			return fmt.Errorf("the last record is %s", last.Type)
		}
		return nil
	})
	if o := last.Origin; o == nil || o.Reaction != "welcoming" || o.Subject != "order/u1" || o.Depth != 2 || last.CommandID != o.CommandID() {
		t.Errorf("the origin is %+v, and the id %s", o, last.CommandID)
	}
	history := s.history()
	s.commandService.end(t)
	if err := os.RemoveAll(filepath.Join(s.shared["data_dir"], "state")); err != nil {
		t.Fatal(err)
	}
	s.commandService.start()
	s.wantProven()
	s.wantApp(exitOK, nil, "projections", "rebuild", "users")
	s.accept(`{"type":"createUser","payload":{"id":2,"name":"Bob"}}`)
	s.waitForItems("u2", "Bob")
	for _, stream := range []string{"user/1", "order/u1"} {
		if was, is := len(history[stream]), len(s.history()[stream]); was != is {
			t.Errorf("%s has %d records, and had %d", stream, is, was)
		}
	}
}

// A new reaction answers all that comes once a command service with the reaction is
// ready, also in the partitions where a service without the reaction still runs the
// reactions.
func TestNewReactionAnswersFromReadyOn(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.setenv(withOrders, "1")
	s.setenv(withClaims, "yes") // the service without the reaction runs the router's own
	s.startBroker()
	without := s.service(nil, "--config", shipped(t, "command-service.yaml"))
	without.start()
	s.commandService = s.service(settings{withReaction: "1", "data_dir": s.shared["data_dir"] + "1"}, "--config", shipped(t, "command-service.yaml"))
	s.commandService.start()
	const users = 12
	for id := range users {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Ann"}}`, id+1))
	}
	eventually(t, "all users", func() error {
		if all := s.history(); len(all[fmt.Sprint("user/", users)]) == 0 {
			return errors.New("the last is missing")
		}
		return nil
	})
	without.end(t)
	for id := range users {
		s.waitForItems(fmt.Sprint("u", id+1), "Ann")
	}
}

// A record that the reaction fails at parks its stream, and nothing else. An
// operator sees why, and retries or skips.
func TestParkedInReaction(t *testing.T) {
	t.Parallel()
	s := welcome(t)
	s.setenv(withClaims, "yes") // the router's own reaction parks nothing
	s.setenv(withReaction, "failing")
	s.startTerminals()
	for id := range 2 {
		s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Ann"}}`, id+1))
		s.waitForItems(fmt.Sprint("u", id+1), "Ann")
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":%d,"name":"Boom"}}`, id+1))
		s.accept(fmt.Sprintf(`{"type":"renameUser","payload":{"id":%d,"name":"Eve"}}`, id+1))
	}
	s.accept(`{"type":"createUser","payload":{"id":3,"name":"Joe"}}`)
	s.waitForItems("u3", "Joe")
	s.waitForItems("u1", "Ann")
	var offset string
	eventually(t, "two parked streams", func() error {
		text, _ := s.app("reactions", "list")
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) > 3 && f[1] == "user/2" {
				offset = f[2]
			}
		}
		if n := strings.Count(text, "no welcome"); n != 2 || offset == "" {
			return fmt.Errorf("%d parked: %s", n, text)
		}
		return nil
	})
	s.wantApp(exitFailed, []string{"user/1 is parked again in reaction welcoming, at offset ", ": no welcome"}, "reactions", "retry", "welcoming", "user/1")
	s.wantApp(exitFailed, []string{"the reaction has no parked cause of this stream, or another one by now"}, "reactions", "skip", "welcoming", "user/2", "99999")
	s.wantApp(exitOK, []string{"reaction welcoming has answered all records of user/2"}, "reactions", "skip", "welcoming", "user/2", offset)
	s.waitForItems("u2", "Ann", "Eve")

	s.commandService.end(t)
	s.setenv(withReaction, "1")
	s.commandService.start()
	s.wantApp(exitOK, []string{"reaction welcoming has answered all records of user/1"}, "reactions", "retry", "welcoming", "user/1")
	s.waitForItems("u1", "Ann", "Boom", "Eve")
	s.wantApp(exitOK, []string{"nothing is parked in a reaction"}, "reactions", "list")
	s.wantApp(exitUsage, []string{`there is no reaction "none": they are unique, welcoming`}, "reactions", "retry", "none", "user/1")
	s.wantApp(exitFailed, []string{"the reaction has no parked cause"}, "reactions", "retry", "welcoming", "user/1")
}

// Reactions that were off answer what happened meanwhile.
func TestReactionsOff(t *testing.T) {
	t.Parallel()
	s := welcome(t)
	s.startTerminals()
	s.accept(`{"type":"createUser","payload":{"id":1,"name":"Ann"}}`)
	s.waitForItems("u1", "Ann")
	s.commandService.end(t)
	s.commandService.set["reactions.enabled"] = "false"
	s.commandService.start()
	s.wait(`{"type":"createUser","payload":{"id":2,"name":"Bob"}}`)
	time.Sleep(time.Second)
	s.waitForItems("u2")
	s.commandService.end(t)
	s.commandService.set["reactions.enabled"] = "true"
	s.commandService.start()
	s.waitForItems("u2", "Bob")
}

// The command service is killed again and again, and the offsets of the
// reactions' group are deleted meanwhile: each command of a reaction takes effect
// once.
func TestKilledReaction(t *testing.T) {
	t.Parallel()
	s := welcome(t)
	s.startBroker()
	s.commandService = s.service(nil, "--config", shipped(t, "command-service.yaml"))
	s.commandService.start()
	kills, each := size(3, 10), 20
	for n := range kills {
		for i := range each {
			s.accept(fmt.Sprintf(`{"type":"createUser","payload":{"id":%d,"name":"Ann"}}`, n*each+i+1))
		}
		s.commandService.kill()
		s.deleteGroup("millrace.reactions")
		s.commandService.start()
	}
	for i := range kills * each {
		s.waitForItems(fmt.Sprint("u", i+1), "Ann")
	}
}
