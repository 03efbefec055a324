package commandstatus

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/web"
)

// Commands is what Kafka knows of commands that have no outcome in the rows.
type Commands interface {
	// Undecided says whether a command is among those that may have no
	// outcome yet. All others were in the log before it was asked.
	Undecided(ctx context.Context, stream, commandID string) (bool, error)
	// LogEnd is where the log of a stream's partition ends.
	LogEnd(ctx context.Context, stream string) (messaging.Position, error)
}

// lookTimeout bounds a look into Kafka.
const lookTimeout = 5 * time.Second

type queries struct {
	*projections.Reader
	commands Commands
}

// Routes adds GET /users/{id}/commands/{command id}.
func Routes(router *mux.Router, reader *projections.Reader, commands Commands) {
	q := queries{reader, commands}
	q.Get(router, "/users/{id}/commands/{command}", q.status)
}

// status answers GET /users/{id}/commands/{command id}: from the rows, and
// from topic commands what isn't decided yet, so that a command has a status
// as soon as it is accepted.
func (q queries) status(w http.ResponseWriter, r *http.Request) error {
	if _, err := projections.Query(r); err != nil {
		return err
	}
	user, isUser := projections.PathID(r)
	id, isID := commandID(r)
	var c *command
	err := q.Read(w, r, Projection, func(ctx context.Context, view projections.View) (err error) {
		if !isUser || !isID {
			return notFound() // no command can have such an id
		}
		c, err = find(ctx, view, user, id)
		return err
	})
	if err == nil && c == nil {
		c, err = q.undecided(w, r, user, id)
	}
	if err != nil {
		return err
	}
	if !projections.NotModified(w, r, projections.ETag(c.generation, c.state())) {
		web.WriteJSON(w, http.StatusOK, c)
	}
	return nil
}

// undecided is the status of a command that was not in the rows. If Kafka
// doesn't hold it undecided, then its outcome was in the log by now, or there
// is no such command: the rows tell, once they are as far as the log is now.
func (q queries) undecided(w http.ResponseWriter, r *http.Request, user users.ID, id string) (c *command, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), lookTimeout)
	defer cancel()
	waits, err := q.commands.Undecided(ctx, string(user), id)
	if err != nil {
		return nil, err
	}
	if waits {
		return &command{ID: id, User: user, Status: accepted}, nil
	}
	end, err := q.commands.LogEnd(ctx, string(user))
	if err != nil {
		return nil, err
	}
	err = q.ReadAgain(w, r, Projection, end, func(ctx context.Context, view projections.View) (err error) {
		if c, err = find(ctx, view, user, id); err == nil && c == nil {
			err = notFound()
		}
		return err
	})
	return c, err
}

func notFound() *web.Problem {
	return &web.Problem{
		Slug: "command-not-found", Status: http.StatusNotFound,
		Title: "Command not found", Detail: "there is no such command of this user",
	}
}

// isCommandID is what the gateway takes for one.
var isCommandID = regexp.MustCompile(`^[A-Za-z0-9._~:-]{1,128}$`)

// commandID is the command id in the path, and false if no command can have
// such an id.
func commandID(r *http.Request) (string, bool) {
	id, err := url.PathUnescape(mux.Vars(r)["command"])
	return id, err == nil && isCommandID.MatchString(id)
}
