package commandstatus

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// lookTimeout bounds a search in Kafka.
const lookTimeout = 5 * time.Second

type queries struct {
	*query.Reader
	registry *aggregate.Registry
}

// Model is the read model for all aggregates of a registry. The queries ask
// [query.Reader.Commands].
func Model(registry *aggregate.Registry) query.Model {
	return query.Model{
		Projection: Projection,
		Routes: func(router *mux.Router, reader *query.Reader) {
			q := queries{reader, registry}
			for _, t := range registry.Types() {
				q.Get(router, "/"+t.Plural()+"/{id}/commands/{command}", func(w http.ResponseWriter, r *http.Request) error {
					return q.status(w, r, t)
				})
			}
		},
	}
}

// status answers GET /<plural>/{id}/commands/{command id} for a type of
// aggregates. Undecided commands are looked up in topic commands, so that a
// command has a status from the 202 on.
func (q queries) status(w http.ResponseWriter, r *http.Request, t *aggregate.Type) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	of, isOf := query.PathID(r, t)
	stream := t.Stream(of)
	id, isID := commandID(r)
	var c *command
	err := q.Read(w, r, Projection, func(ctx context.Context, view readmodel.View) (err error) {
		if !isOf || !isID {
			return notFound() // no command can have such an id
		}
		c, err = q.find(ctx, view, stream, id)
		return err
	})
	if err == nil && c == nil {
		c, err = q.undecided(w, r, stream, id)
	}
	if err != nil {
		return err
	}
	if !query.NotModified(w, r, query.ETag(c.generation, c.state())) {
		web.WriteJSON(w, http.StatusOK, c)
	}
	return nil
}

// undecided is the status of a command without a row. If topic commands doesn't
// hold the command undecided, the outcome was in the log already, or there is no
// such command. So the rows decide, once the read model has reached the present
// end of the log.
func (q queries) undecided(w http.ResponseWriter, r *http.Request, stream, id string) (c *command, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTimeout)
	defer cancel()
	waits, err := q.Commands.Undecided(ctx, stream, id)
	if err != nil {
		return nil, err
	}
	if waits {
		return &command{ID: id, Stream: stream, Status: accepted}, nil
	}
	end, err := q.Commands.LogEnd(ctx, stream)
	if err != nil {
		return nil, err
	}
	err = q.ReadAgain(w, r, Projection, end, func(ctx context.Context, view readmodel.View) (err error) {
		if c, err = q.find(ctx, view, stream, id); err == nil && c == nil {
			err = notFound()
		}
		return err
	})
	return c, err
}

func notFound() *web.Problem {
	return &web.Problem{
		Slug: "command-not-found", Status: http.StatusNotFound,
		Title: "Command not found", Detail: "there is no such command of this stream",
	}
}

// isCommandID matches the command ids that the gateway takes.
var isCommandID = regexp.MustCompile(`^[A-Za-z0-9._~:-]{1,128}$`)

// commandID is the command id in the path, and false if the gateway takes no
// such id.
func commandID(r *http.Request) (string, bool) {
	id, err := url.PathUnescape(mux.Vars(r)["command"])
	return id, err == nil && isCommandID.MatchString(id)
}
