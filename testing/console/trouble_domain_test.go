package console

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/router/service"
	"github.com/millrace/millrace/testing/parcels"
)

// hostile is a text that runs in a page that takes texts for HTML.
const hostile = `<img src=x onerror="document.documentElement.dataset.hacked=1">`

// The files in the data folder that bring trouble.
const (
	poisoned   = "poisoned"   // the rule of breakUser fails
	stale      = "stale"      // the read model names can't apply a renameUser
	slow       = "slow"       // the read model names takes its time
	speechless = "speechless" // the reaction greeting has no answer
)

// there says whether a file is in the data folder of the process.
func there(name string) bool {
	for _, arg := range os.Args {
		if dir, ok := strings.CutPrefix(arg, "data_dir="); ok {
			_, err := os.Stat(filepath.Join(dir, name))
			return err == nil
		}
	}
	return false
}

// inTrouble is the shipped service with parcels, with a command whose rule can
// fail, and with a read model that can fail.
func inTrouble(d service.Domain) service.Domain {
	of := users.Definition
	of.Commands = append(slices.Clone(of.Commands), func() aggregate.Command[users.User] { return new(breakUser) })
	d.Aggregates = []*aggregate.Type{aggregate.Of(of), parcels.Aggregate}
	d.Models = append(slices.Clone(d.Models), query.Model{Projection: names, Routes: func(*mux.Router, *query.Reader) {}})
	d.Reactions = []*reaction.Reaction{greeting}
	return d
}

// greeting is a reaction to users who call themselves Away: they are called back.
var greeting = &reaction.Reaction{Name: "greeting", Of: []string{"user"}, React: func(r reaction.Record) ([]reaction.Command, error) {
	left, ok := r.Event.(*users.UserRenamed)
	switch {
	case !ok || left.Name != "Away":
		return nil, nil
	case there(speechless):
		return nil, errors.New("no words for " + hostile)
	default:
		return []reaction.Command{reaction.Send(users.RenameUser{ID: left.ID, Name: "Come back"})}, nil
	}
}}

type breakUser struct {
	ID   users.ID   `json:"id"`
	Name users.Name `json:"name"`
}

func (breakUser) Type() string          { return "breakUser" }
func (c breakUser) AggregateID() string { return string(c.ID) }

func (c breakUser) Decide(u users.User) (aggregate.Event[users.User], error) {
	if there(poisoned) {
		panic("no rule for " + string(c.Name))
	}
	return users.RenameUser(c).Decide(u)
}

// names is a read model of the last name of each user.
var names = &projection.Projection{
	Name: "names", Of: []string{"user"},
	Tables: []projection.Table{{Name: "names", Columns: []projection.Column{
		{Name: "id", Type: projection.Text, Key: true}, {Name: "name", Type: projection.Text},
	}}},
	Keys: func(e projection.Event) []projection.RowKey {
		return []projection.RowKey{{Table: "names", Key: projection.Row{e.AggregateID}}}
	},
	Apply: func(rows projection.Rows, e projection.Event) error {
		if there(slow) {
			time.Sleep(100 * time.Millisecond)
		}
		switch data := e.Data.(type) {
		case *users.UserCreated:
			rows.Put("names", projection.Row{e.AggregateID, string(data.Name)})
		case *users.UserRenamed:
			if there(stale) {
				return errors.New("no room for " + string(data.Name))
			}
			rows.Put("names", projection.Row{e.AggregateID, string(data.Name)})
		}
		return nil
	},
}
