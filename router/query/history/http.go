package history

import (
	"context"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

type queries struct {
	*query.Reader
	registry *aggregate.Registry
}

// Model is the read model for all aggregates of a registry.
func Model(registry *aggregate.Registry) query.Model {
	return query.Model{
		Projection: Projection,
		Routes: func(router *mux.Router, reader *query.Reader) {
			q := queries{reader, registry}
			f := &feed{Reader: reader, registry: registry, maxBehind: maxChangesBehind}
			q.Get(router, "/changes", changes{q, f}.serve)
			for _, t := range registry.Types() {
				q.GetPages(router, "/"+t.Plural()+"/{id}/history", func(w http.ResponseWriter, r *http.Request) error {
					return q.history(w, r, t)
				})
			}
		},
	}
}

// history answers GET /<plural>/{id}/history for a type of aggregates.
func (q queries) history(w http.ResponseWriter, r *http.Request, t *aggregate.Type) error {
	parameters, err := query.Query(r, "limit", "after")
	if err != nil {
		return err
	}
	limit, wrong := query.Limit(parameters)
	var after int64
	if parameters.Has("after") {
		if after, err = parseCursor(parameters.Get("after")); err != nil {
			wrong = append(wrong, web.FieldError{Parameter: "after", Detail: err.Error()})
		}
	}
	if len(wrong) > 0 {
		return query.InvalidQuery(wrong)
	}
	return q.ReadOne(w, r, Projection, t, func(ctx context.Context, view query.View, id string, head query.StreamHead) (any, error) {
		// One event more than the page has shows whether there is another page.
		page, err := q.events(ctx, view, t.Stream(id), after, limit+1)
		switch {
		case len(page) > limit:
			page = page[:limit]
			q.LinkNext(w, r, parameters, encodeCursor(page[limit-1].Version))
		case head.Parked != "" && len(page) > 0:
			page[len(page)-1].Stale = true
		}
		return page, err
	})
}
