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

// write answers with the outcome, or with 202 and the place of the future
// outcome.
func (g *Gateway) write(w http.ResponseWriter, c *eventlog.Envelope, answer commandAnswer) {
	h, values := w.Header(), make([]string, 2) // one slice for two headers
	if answer.Position != "" {
		values[0] = answer.Position
		h["Position"] = values[0:1:1]
	}
	status := http.StatusOK
	if answer.Status == statusAccepted {
		status = http.StatusAccepted
		answer.Position = "" // only in the header
		if g.StatusURL != "" {
			values[1] = strings.TrimSuffix(g.StatusURL, "/") + g.statusPath(c)
			h["Location"] = values[1:2:2]
		}
	}
	web.WriteJSON(w, status, answer)
}

// statusPath is the path of a command's status in the read API.
func (g *Gateway) statusPath(c *eventlog.Envelope) string {
	t, id := g.Registry.OfStream(c.Stream)
	return "/" + t.Plural() + "/" + url.PathEscape(id) + "/commands/" + escapeCommandID(c.ID)
}

// escapeCommandID escapes a command id for a path. Clients would take an id of
// dots for steps in the path.
func escapeCommandID(id string) string {
	if id == "." || id == ".." {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return url.PathEscape(id)
}

// commandAnswer is the body of the answer to a command.
type commandAnswer struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Status   string `json:"status"`
	Stream   string `json:"stream,omitempty"`
	Version  uint64 `json:"version,omitempty"`
	Position string `json:"position,omitempty"`
}

// answerOf is the answer to a command with an outcome. A problem is the error.
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
