package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/web"
)

// Streams is the view of one stream: records, chain, outcomes, states.
type Streams struct {
	Registry *aggregate.Registry
	// Scan is [operations.Scan] on the log of the service.
	Scan func(ctx context.Context, stream string, page operations.Page,
		each func(*operations.Record) error, progress func(read, all int64) error) (*operations.Stream, error)

	scans chan struct{} // the scans under way
}

const (
	// maxScans is the limit of scans at the same time: each scan reads a whole
	// partition.
	maxScans = 4
	// maxPage is the largest number of items on a page, and defaultPage the usual
	// number.
	maxPage, defaultPage = 500, 50
	// progressEvery is the shortest time between two signs of progress.
	progressEvery = 100 * time.Millisecond
)

// Routes implements the Part of a [View].
func (s *Streams) Routes(api *API) {
	s.scans = make(chan struct{}, maxScans)
	api.Get("/api/streams", withoutQuery(s.aggregates))
	api.Events("/api/streams/{aggregate}/{id}", s.scan)
}

// aggregates lists the kinds of streams.
func (s *Streams) aggregates(w http.ResponseWriter, _ *http.Request) error {
	type kind struct {
		Name   string `json:"name"`
		Plural string `json:"plural"`
	}
	kinds := []kind{}
	for _, t := range s.Registry.Types() {
		kinds = append(kinds, kind{t.Name(), t.Plural()})
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"aggregates": kinds})
	return nil
}

// streamOf is the stream in the path of a request.
func streamOf(registry *aggregate.Registry, r *http.Request) (string, error) {
	name := mux.Vars(r)["aggregate"]
	t := registry.Type(name)
	if t == nil {
		return "", notFound(fmt.Sprintf("there is no aggregate %q", name))
	}
	text, err := url.PathUnescape(mux.Vars(r)["id"])
	if err == nil {
		text, err = t.ParseID(text)
	}
	if err != nil {
		return "", Invalid(web.FieldError{Parameter: "id", Detail: err.Error()})
	}
	return t.Stream(text), nil
}

// scan sends the records of a stream, the progress of the scan, and at the end
// the stream. The answer goes on until the end of the scan; a client that leaves
// ends the scan.
func (s *Streams) scan(r *http.Request) (func(*EventStream) error, error) {
	stream, err := streamOf(s.Registry, r)
	if err != nil {
		return nil, err
	}
	page, err := pageOfStream(r)
	if err != nil {
		return nil, err
	}
	select {
	case s.scans <- struct{}{}:
	default:
		return nil, web.Unavailable("too many streams are read at the moment; try again")
	}
	return func(events *EventStream) error {
		defer func() { <-s.scans }()
		var told time.Time
		of, err := s.Scan(events.Context(), stream, page,
			func(r *operations.Record) error { return events.Send("record", r) },
			func(read, all int64) error {
				if read < all && time.Since(told) < progressEvery {
					return nil
				}
				told = time.Now()
				return events.Send("progress", map[string]int64{"read": read, "all": all})
			})
		if err != nil {
			return events.Send("failed", problemOf(err))
		}
		return events.Send("stream", of)
	}, nil
}

// pageOfStream reads the page of a scan from the query.
func pageOfStream(r *http.Request) (page operations.Page, err error) {
	query, err := queryOf(r, "after", "limit", "version")
	if err != nil {
		return page, err
	}
	after, err := number(query, "after", 0, 1<<53)
	if err != nil {
		return page, err
	}
	limit, err := number(query, "limit", defaultPage, maxPage)
	if err != nil {
		return page, err
	}
	page.After, page.Limit = after, int(limit)
	for _, text := range query["version"] {
		version, err := strconv.ParseUint(text, 10, 53)
		if err != nil || len(query["version"]) > 2 {
			return page, Invalid(web.FieldError{Parameter: "version", Detail: "must be a version, given once or twice"})
		}
		page.Versions = append(page.Versions, version)
	}
	return page, nil
}

// queryOf reads the query of a request, with these parameters alone.
func queryOf(r *http.Request, known ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, Invalid(web.FieldError{Parameter: "query", Detail: "must be percent-encoded"})
	}
	for name := range query {
		found := false
		for _, k := range known {
			found = found || k == name
		}
		if !found {
			return nil, Invalid(web.FieldError{Parameter: name, Detail: "is not known"})
		}
	}
	return query, nil
}

// withoutQuery refuses requests with parameters.
func withoutQuery(serve func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := queryOf(r); err != nil {
			return err
		}
		return serve(w, r)
	}
}

// pageOf reads which page of a list a request asks for: the query has after, and
// the limit of the page.
func pageOf(r *http.Request) (query url.Values, limit int64, err error) {
	if query, err = queryOf(r, "after", "limit"); err == nil {
		limit, err = number(query, "limit", defaultPage, maxPage)
	}
	return query, limit, err
}

// number reads a number of the query from 0 to most.
func number(query url.Values, name string, otherwise, most int64) (int64, error) {
	if !query.Has(name) {
		return otherwise, nil
	}
	n, err := strconv.ParseInt(query.Get(name), 10, 64)
	if err != nil || n < 0 || n > most || len(query[name]) > 1 {
		return 0, Invalid(web.FieldError{Parameter: name, Detail: fmt.Sprintf("must be a number from 0 to %d", most)})
	}
	return n, nil
}

// problemOf is an error of an operation as a problem.
func problemOf(err error) *web.Problem {
	var problem *web.Problem
	var refusal *aggregate.Refusal
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.As(err, &refusal):
		return &web.Problem{Slug: refusal.Slug, Status: web.RefusalStatus(refusal.Kind), Title: "Refused", Detail: refusal.Detail}
	case errors.Is(err, operations.ErrNotFound):
		return notFound(err.Error())
	default:
		return web.Unavailable(err.Error())
	}
}
