package service

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/query/commandstatus"
	"github.com/millrace/millrace/router/query/history"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/router/reaction/checkpoint"
	"github.com/millrace/millrace/router/sqlstore"
	"github.com/millrace/millrace/router/unique"
)

// Domain is the part of a service that a team writes: aggregates, read models
// and reactions.
type Domain struct {
	// Title is the service's name in the help, in the banner, and in the OpenAPI and
	// AsyncAPI documents. The default is "Millrace".
	Title string
	// Aggregates are the service's write side.
	Aggregates []*aggregate.Type
	// Models are the read models. The router adds the history and the command
	// status of every aggregate.
	Models []query.Model
	// Reactions answer records with commands: processes over several aggregates.
	Reactions []*reaction.Reaction
	// Try is shown in the banner.
	Try Try
}

// Try is a command and a query for people who start the service for the first
// time.
type Try struct {
	// Command is a body for POST /commands, JSON on one line without single quotes.
	Command string
	// Query is a path of the read API, such as /lists.
	Query string
}

// registered is a checked domain. The models include the read models of the
// router.
type registered struct {
	title     string
	registry  *aggregate.Registry // the team's aggregates: clients know these
	folded    *aggregate.Registry // … and the router's own: whoever folds the log knows all
	models    []query.Model
	reactions []*reaction.Reaction
	try       Try
}

// Check says what is wrong with a domain, in one line with the part and the
// reason. [Main] refuses to start a wrong domain. In a unit test, Check finds
// the mistake earlier:
//
//	func TestDomain(t *testing.T) {
//		if err := domain.Check(); err != nil {
//			t.Error(err)
//		}
//	}
func (d Domain) Check() error {
	_, err := d.register()
	return err
}

// register checks a domain, and adds the read models of the router.
func (d Domain) register() (*registered, error) {
	registry, err := aggregate.NewRegistry(d.Aggregates...)
	if err != nil {
		return nil, err
	}
	if err := query.Check(d.Models, registry); err != nil {
		return nil, err
	}
	if err := reaction.Check(d.Reactions, registry); err != nil {
		return nil, err
	}
	for _, m := range d.Models {
		if err := sqlstore.CheckNames(m.Projection); err != nil {
			return nil, fmt.Errorf("read model %q: %w", m.Name, err)
		}
	}
	folded, err := registry.With(checkpoint.Aggregate, unique.Aggregate)
	if err != nil {
		return nil, err
	}
	r := &registered{
		title: cmp.Or(d.Title, "Millrace"), registry: registry, folded: folded,
		models:    append(slices.Clone(d.Models), history.Model(registry), commandstatus.Model(registry)),
		reactions: d.Reactions, try: d.Try,
	}
	if err := documents.Check(r.description()); err != nil {
		return nil, err
	}
	return r, nil
}

// apiVersion is the version of the HTTP interface and of the topics.
const apiVersion = "1"

// description is the input of the OpenAPI and AsyncAPI documents.
func (r *registered) description() documents.Description {
	d := documents.Description{Title: r.title, Version: apiVersion, Registry: r.registry, Refusals: decider.Refusals(), Admin: console.OpenAPI()}
	for _, m := range r.models {
		if m.OpenAPI != nil {
			d.Fragments = append(d.Fragments, m.OpenAPI)
		}
	}
	return d
}

// projections are the projections of all read models.
func (r *registered) projections() []*projection.Projection {
	all := make([]*projection.Projection, 0, len(r.models))
	for _, m := range r.models {
		all = append(all, m.Projection)
	}
	return all
}

// names are the names of all read models.
func (r *registered) names() []string {
	names := make([]string, 0, len(r.models))
	for _, m := range r.models {
		names = append(names, m.Name)
	}
	return names
}

// keyNames are the names that the configuration may use.
func (r *registered) keyNames() config.Service {
	return config.Service{ReadModels: r.names(), Plurals: r.plurals()}
}

// plurals are the plurals of all aggregates, by name.
func (r *registered) plurals() map[string]string {
	plurals := map[string]string{}
	for _, t := range r.registry.Types() {
		plurals[t.Name()] = t.Plural()
	}
	return plurals
}

// named are the read models of these names, or all without a name. An unknown
// name is an errUsage.
func (r *registered) named(names ...string) ([]*projection.Projection, error) {
	if len(names) == 0 {
		return r.projections(), nil
	}
	for _, name := range names {
		if !slices.Contains(r.names(), name) {
			return nil, fmt.Errorf("there is no read model %q: they are %s; %w", name, strings.Join(r.names(), ", "), errUsage)
		}
	}
	return slices.DeleteFunc(r.projections(), func(p *projection.Projection) bool { return !slices.Contains(names, p.Name) }), nil
}
