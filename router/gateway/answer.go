package gateway

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

const (
	statusAccepted  = "accepted"
	statusSucceeded = "succeeded"
)

// write answers with 202 and where the outcome will be, or with the outcome.
func (g *Gateway) write(w http.ResponseWriter, c *eventlog.Envelope, answer commandAnswer) {
	if answer.Position != "" {
		w.Header().Set("Position", answer.Position)
	}
	status := http.StatusOK
	if answer.Status == statusAccepted {
		status = http.StatusAccepted
		answer.Position = "" // in the header alone
		if g.StatusURL != "" {
			w.Header().Set("Location", strings.TrimSuffix(g.StatusURL, "/")+
				g.statusPath(c))
		}
	}
	web.WriteJSON(w, status, answer)
}

// statusPath is where the read API tells a command's status.
func (g *Gateway) statusPath(c *eventlog.Envelope) string {
	t, id := g.Registry.OfStream(c.Stream)
	return "/" + t.Plural() + "/" + url.PathEscape(id) + "/commands/" + escapeCommandID(c.ID)
}

// escapeCommandID writes a command id in a path. Clients would take those of
// dots for steps in it.
func escapeCommandID(id string) string {
	if id == "." || id == ".." {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

// commandAnswer is what a client is told of its command.
type commandAnswer struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Stream   string `json:"stream,omitempty"`
	Version  uint64 `json:"version,omitempty"`
	Position string `json:"position,omitempty"`
}

// answerOf is the answer to a command that has its outcome, or a problem.
func answerOf(c *eventlog.Envelope, o decider.Outcome) (commandAnswer, error) {
	switch {
	case o.CommandHash != c.Hash:
		return commandAnswer{}, &web.Problem{
			Slug: "command-id-reused", Status: http.StatusUnprocessableEntity, Title: "Command id reused",
			Detail: "this stream had another command with this id; that command stays as it is", ID: c.ID,
		}
	case o.Kind == decider.Parked:
		return commandAnswer{}, &web.Problem{
			Slug: "command-parked", Status: http.StatusInternalServerError, Title: "Command parked",
			Detail: "the command could not be decided, and waits for an operator", ID: c.ID,
		}
	case o.Refusal != nil:
		return commandAnswer{}, web.CommandRefused(c.ID, o.Refusal)
	}
	return commandAnswer{ID: c.ID, Type: c.Type, Status: statusSucceeded, Stream: c.Stream, Version: o.Version, Position: o.Position()}, nil
}
