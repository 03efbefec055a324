package history

import (
	"errors"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// versionMismatch is the refusal of a command with an expectedVersion that the user
// doesn't have. The partition processor refuses the command without asking the
// domain.
const versionMismatch = "version-mismatch"

// verdict is the right end of a command.
type verdict struct {
	recordType string
	slug       string // of a refusal
	body       []byte // of an event
	after      state
}

// decide asks the domain for the command's verdict, from the state of the user.
func (c *command) decide(s state) verdict {
	no := func(slug string) verdict {
		return verdict{recordType: eventlog.TypeCommandRefused, slug: slug, after: s}
	}
	if !c.expects(s) {
		return no(versionMismatch)
	}
	event, err := c.domainCommand().Decide(s.User)
	if err != nil {
		var refusal *aggregate.Refusal
		if errors.As(err, &refusal) {
			return no(refusal.Slug)
		}
		return verdict{recordType: eventlog.TypeCommandParked, after: s}
	}
	if event == nil {
		return verdict{recordType: eventlog.TypeCommandUnchanged, after: s}
	}
	return verdict{event.Type(), "", marshal(event), state{event.Apply(s.User), s.version + 1}}
}

// expects says whether the user has the version of the command's expectedVersion.
func (c *command) expects(s state) bool { return c.Expected == nil || *c.Expected == s.version }

// domainCommand is the domain's command.
func (c *command) domainCommand() aggregate.Command[users.User] {
	id, name := users.ID(c.User), users.Name(c.Name)
	switch c.Kind {
	case users.CreateUser{}.Type():
		return users.CreateUser{ID: id, Name: name}
	case users.RenameUser{}.Type():
		return users.RenameUser{ID: id, Name: name}
	case users.DeactivateUser{}.Type():
		return users.DeactivateUser{ID: id}
	case users.ReactivateUser{}.Type():
		return users.ReactivateUser{ID: id}
	default:
		return users.DeleteUser{ID: id}
	}
}
