package service

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/query/commandstatus"
	"github.com/millrace/millrace/router/query/history"
)

// Domain is what a team writes: the aggregates of a service, and its read
// models.
type Domain struct {
	// Title is the service's name in its OpenAPI and AsyncAPI documents, "Millrace"
	// if empty.
	Title string
	// Aggregates are the service's write side.
	Aggregates []*aggregate.Type
	// Models are the read models of the service's own. History and command
	// status of every aggregate are there without being listed.
	Models []query.Model
	// Try is what the banner shows whoever starts the service.
	Try Try
}

// Try is a command and a query to try a service with.
type Try struct {
	// Command is the body of a POST /commands, JSON on one line without single
	// quotes. Query is a path of the read API, such as /lists.
	Command, Query string
}

// registered is a domain that was checked: the aggregates, and all read models,
// the router's own among them.
type registered struct {
	title    string
	registry *aggregate.Registry
	models   []query.Model
	try      Try
}

// register checks a domain. The error is one line that says what is wrong with
// which of its parts.
func (d Domain) register() (*registered, error) {
	registry, err := aggregate.NewRegistry(d.Aggregates...)
	if err != nil {
		return nil, err
	}
	if err := query.Check(d.Models, registry); err != nil {
		return nil, err
	}
	r := &registered{cmp.Or(d.Title, "Millrace"), registry, append(slices.Clone(d.Models), history.Model(registry), commandstatus.Model(registry)), d.Try}
	if err := documents.Check(r.description()); err != nil {
		return nil, err
	}
	return r, nil
}

// apiVersion is the version of the HTTP interface and of the topics.
const apiVersion = "1"

// description is what the documents for machines are made of.
func (r *registered) description() documents.Description {
	d := documents.Description{Title: r.title, Version: apiVersion, Registry: r.registry, Refusals: decider.Refusals()}
	for _, m := range r.models {
		if m.OpenAPI != nil {
			d.Fragments = append(d.Fragments, m.OpenAPI)
		}
	}
	return d
}

// projections are those of all read models.
func (r *registered) projections() []*projection.Projection {
	all := make([]*projection.Projection, 0, len(r.models))
	for _, m := range r.models {
		all = append(all, m.Projection)
	}
	return all
}

// names are those of all read models.
func (r *registered) names() []string {
	names := make([]string, 0, len(r.models))
	for _, m := range r.models {
		names = append(names, m.Name)
	}
	return names
}

// named are the read models of these names; without any, all. A name that no
// read model has is an errUsage.
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
