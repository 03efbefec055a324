package history

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

type queries struct {
	*query.Reader
	registry *aggregate.Registry
}

// Model is the read model, for all aggregates of a registry.
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

// history answers GET /<plural>/{id}/history of a type of aggregates.
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
	var page []event
	var head readmodel.StreamHead
	var generation int
	err = q.Read(w, r, Projection, func(ctx context.Context, view readmodel.View) (err error) {
		generation = view.Generation()
		id, ok := query.PathID(r, t)
		if !ok {
			return query.NotFound(t)
		}
		stream := t.Stream(id)
		if head, err = view.Head(ctx, stream); err != nil {
			return fmt.Errorf("read a stream's head: %w", err)
		}
		switch parked := head.Parked != ""; {
		case head.Version == 0 && parked:
			return web.Unavailable("the read model stopped at the first event of this stream")
		case head.Version == 0:
			return query.NotFound(t)
		}
		page, err = q.events(ctx, view, stream, after, limit+1) // one more tells whether there is a next page
		return err
	})
	if err != nil {
		return err
	}
	state := strconv.FormatUint(head.Version, 10)
	switch parked := head.Parked != ""; {
	case len(page) > limit:
		page = page[:limit]
		q.LinkNext(w, r, parameters, encodeCursor(page[limit-1].Version))
	case parked && len(page) > 0:
		page[len(page)-1].Stale = true
		state += "-stale" // it comes and goes at the same version
	}
	if !query.NotModified(w, r, query.ETag(generation, state)) {
		web.WriteJSON(w, http.StatusOK, page)
	}
	return nil
}
