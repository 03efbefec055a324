package query

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/web"
)

// etagForm is how much of an aggregate's fold version an ETag has: a release with
// another form of an event makes other answers at the same version.
const etagForm = 8

// ReadOne answers a route with {id}, such as /orders/{id}, for one aggregate of
// type t, from read model p. The function read gets the id and the head of the
// stream in the read model, and returns a value for JSON. If head.Parked is not
// empty, the read model lacks later events: by convention the answer says so in
// a member stale.
//
// ReadOne does everything of [Reader.Read]. Further, ReadOne
//
//   - answers 404 for an id that the aggregate refuses, and for a stream without
//     events;
//   - answers 503 if the read model stopped at the first event of the stream;
//   - sets an ETag of the generation, the version of the stream, the form in which
//     this binary reads the aggregate's events, and whether the stream is parked;
//     and answers 304 if the client has the same answer already.
//
// So read must use nothing but the events of one stream and the query
// parameters. A [web.Problem] of read, such as a 410, is the answer.
//
// ReadOne opens a view for each request. [Reader.Find] is faster if the answer
// is made of a single row.
func (rd *Reader) ReadOne(w http.ResponseWriter, r *http.Request, p *projection.Projection, t *aggregate.Type,
	read func(ctx context.Context, view View, id string, head StreamHead) (answer any, err error),
) error {
	if len(p.Of) > 0 && !slices.Contains(p.Of, t.Name()) {
		return fmt.Errorf("read model %s is not of aggregate %s", p.Name, t.Name())
	}
	var answer any
	var etag string
	err := rd.Read(w, r, p, func(ctx context.Context, view View) (err error) {
		id, ok := PathID(r, t)
		if !ok {
			return NotFound(t)
		}
		head, err := view.Head(ctx, t.Stream(id))
		if err != nil {
			return fmt.Errorf("read a stream's head: %w", err)
		}
		state := strconv.FormatUint(head.Version, 10) + "-" + t.FoldVersion()[:etagForm]
		switch parked := head.Parked != ""; {
		case head.Version == 0 && parked:
			return web.Unavailable("the read model stopped at the first event of this stream")
		case head.Version == 0:
			return NotFound(t)
		case parked:
			state += "-stale" // a stream is parked, and goes on, at the same version
		}
		etag = ETag(view.Generation(), state)
		answer, err = read(ctx, view, id, head)
		return err
	})
	if err != nil {
		return err
	}
	if !NotModified(w, r, etag) {
		web.WriteJSON(w, http.StatusOK, answer)
	}
	return nil
}
