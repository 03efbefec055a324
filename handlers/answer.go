package handlers

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
)

// accepted tells the client that Kafka holds the command.
func (g *Gateway) accepted(w http.ResponseWriter, c *messaging.Command) {
	if g.StatusURL != "" {
		w.Header().Set("Location", strings.TrimSuffix(g.StatusURL, "/")+
			"/users/"+url.PathEscape(c.Stream)+"/commands/"+url.PathEscape(c.ID))
	}
	web.WriteJSON(w, http.StatusAccepted, commandAnswer{ID: c.ID, Type: c.Type, Status: "accepted"})
}

// commandAnswer is what a client is told of its command.
type commandAnswer struct {
	ID       string    `json:"id"`
	Type     string    `json:"type"`
	Status   string    `json:"status"`
	User     *users.ID `json:"user,omitempty"`
	Version  uint64    `json:"version,omitempty"`
	Position string    `json:"position,omitempty"`
}

// decided tells the client how its command ended.
func decided(w http.ResponseWriter, c *messaging.Command, o Outcome) error {
	answer, err := answerOf(c, o)
	if err != nil {
		return err
	}
	w.Header().Set("Position", answer.Position)
	web.WriteJSON(w, http.StatusOK, answer)
	return nil
}

// answerOf is the answer to a command that has its outcome, or a problem.
func answerOf(c *messaging.Command, o Outcome) (commandAnswer, error) {
	switch {
	case o.CommandHash != c.Hash:
		return commandAnswer{}, &web.Problem{
			Slug: "command-id-reused", Status: http.StatusUnprocessableEntity, Title: "Command id reused",
			Detail: "this user had another command with this id; it stays as it is", ID: c.ID,
		}
	case o.Kind == Parked:
		return commandAnswer{}, &web.Problem{
			Slug: "command-parked", Status: http.StatusInternalServerError, Title: "Command parked",
			Detail: "the command could not be decided, and waits for an operator", ID: c.ID,
		}
	case o.Refusal != nil:
		return commandAnswer{}, refusalProblem(c.ID, o.Refusal)
	}
	user := users.ID(c.Stream)
	position := messaging.EncodePosition(messaging.Position{o.Partition: o.Offset + 1})
	return commandAnswer{ID: c.ID, Type: c.Type, Status: "succeeded", User: &user, Version: o.Version, Position: position}, nil
}

// refusalProblem is the one place where refusals become HTTP.
func refusalProblem(commandID string, no *users.Refusal) *web.Problem {
	p := &web.Problem{
		Slug: no.Slug, Status: http.StatusConflict, Title: "Command refused",
		Detail: no.Detail, ID: commandID,
	}
	switch no.Slug {
	case users.ErrNotFound.Slug:
		p.Status = http.StatusNotFound
	case SlugVersionMismatch:
		p.Status = http.StatusPreconditionFailed
	}
	return p
}

// await answers with the outcome, if it comes in time.
func (g *Gateway) await(w http.ResponseWriter, r *http.Request, c *messaging.Command, watch *Watch, wait time.Duration) error {
	w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		select {
		case o := <-watch.C:
			if o.Kind == Queued && o.CommandHash == c.Hash {
				continue // it waits behind a parked one: not decided
			}
			return decided(w, c, o)
		case <-timer.C:
		case <-g.Stopping:
		case <-r.Context().Done():
		}
		g.accepted(w, c)
		return nil
	}
}
