package userhistory

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/web"
)

type queries struct{ *projections.Reader }

// Routes adds GET /users/{id}/history and GET /users/changes.
func Routes(router *mux.Router, reader *projections.Reader) {
	q := queries{reader}
	q.Get(router, "/users/changes", changes{q, &feed{Reader: reader, maxBehind: maxChangesBehind}}.serve)
	q.GetPages(router, "/users/{id}/history", q.history)
}

// history answers GET /users/{id}/history.
func (q queries) history(w http.ResponseWriter, r *http.Request) error {
	parameters, err := projections.Query(r, "limit", "after")
	if err != nil {
		return err
	}
	limit, wrong := projections.Limit(parameters)
	var after int64
	if parameters.Has("after") {
		if after, err = parseCursor(parameters.Get("after")); err != nil {
			wrong = append(wrong, web.FieldError{Parameter: "after", Detail: err.Error()})
		}
	}
	if len(wrong) > 0 {
		return projections.InvalidQuery(wrong)
	}
	var page []event
	var head projections.StreamHead
	var generation int
	err = q.Read(w, r, Projection, func(ctx context.Context, view projections.View) (err error) {
		generation = view.Generation()
		id, ok := projections.PathID(r)
		if !ok {
			return projections.UserNotFound()
		}
		if head, err = view.Head(ctx, string(id)); err != nil {
			return fmt.Errorf("read a user's head: %w", err)
		}
		switch parked := head.Parked != ""; {
		case head.Version == 0 && parked:
			return web.Unavailable("the read model stopped at the first event of this user")
		case head.Version == 0:
			return projections.UserNotFound()
		}
		page, err = history(ctx, view, id, after, limit+1) // one more tells whether there is a next page
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
	if !projections.NotModified(w, r, projections.ETag(generation, state)) {
		web.WriteJSON(w, http.StatusOK, page)
	}
	return nil
}
