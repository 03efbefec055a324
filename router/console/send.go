package console

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/operations"
	"github.com/millrace/millrace/router/strict"
	"github.com/millrace/millrace/router/web"
)

// Send is the view for sending commands. The admin address forwards a command to
// the command service, so the page needs no other address.
type Send struct {
	Registry *aggregate.Registry
	Commands []documents.Command
	// Post sends a request to POST /commands of the command service, with the
	// headers of a request to the admin address that name the caller.
	Post func(ctx context.Context, from *http.Request, header http.Header, body []byte) (Answer, error)
	// Tracker returns the measurement of a command's way. The error says why there
	// is none.
	Tracker func(context.Context) (tracker *operations.Tracker, done func(), err error)
}

// Answer is an answer of the command service.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

const (
	// maxWait is the longest wait for an outcome, in seconds.
	maxWait = 30
	// wayTimeout bounds the measurement of a command's way, after the answer.
	wayTimeout = 5 * time.Second
)

// Routes implements the Part of a [View].
func (s *Send) Routes(api *API) {
	api.Get("/api/commands", withoutQuery(s.list))
	api.Post("/api/send", s.send)
}

// list describes all commands.
func (s *Send) list(w http.ResponseWriter, _ *http.Request) error {
	type command struct {
		Type      string          `json:"type"`
		Aggregate string          `json:"aggregate"`
		IDMember  string          `json:"idMember,omitempty"` // of the payload
		Schema    json.RawMessage `json:"schema"`
		Example   json.RawMessage `json:"example,omitempty"`
	}
	all := make([]command, 0, len(s.Commands))
	for _, c := range s.Commands {
		all = append(all, command{c.Type, c.Aggregate, s.Registry.OfCommand(c.Type).IDMember(c.Type), c.Schema, c.Example})
	}
	web.WriteJSON(w, http.StatusOK, map[string]any{"commands": all})
	return nil
}

// sent is the answer to a send.
type sent struct {
	ID      string            `json:"id"`
	Stream  string            `json:"stream,omitempty"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body,omitempty"`
	Seconds float64           `json:"seconds"`
	// Way are the steps of the command. NoWay says why there are none.
	Way   []operations.Step `json:"way"`
	NoWay string            `json:"noWay,omitempty"`
}

// send forwards a command, and answers with the answer of the command service,
// and with the command's way.
func (s *Send) send(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Command jsontext.Value `json:"command"`
		Wait    int            `json:"wait"`
	}
	if err := ReadJSON(w, r, &body); err != nil {
		return err
	}
	if body.Wait < 0 || body.Wait > maxWait {
		return Invalid(web.FieldError{Pointer: "/wait", Detail: fmt.Sprintf("must be a number from 0 to %d", maxWait)})
	}
	if len(body.Command) == 0 {
		return Invalid(web.FieldError{Pointer: "/command", Detail: "is required"})
	}
	out := sent{Headers: map[string]string{}, Way: []operations.Step{}}
	header := http.Header{"Content-Type": {"application/json"}}
	out.Stream, out.ID = s.streamOf(body.Command)
	if out.ID == "" {
		out.ID = uuid.Must(uuid.NewV7()).String()
		header.Set("Idempotency-Key", out.ID)
	}
	if body.Wait > 0 {
		header.Set("Prefer", "wait="+strconv.Itoa(body.Wait))
	}
	track, done := s.track(r.Context(), &out)
	defer done()
	began := time.Now()
	answer, err := s.Post(r.Context(), r, header, body.Command)
	if err != nil {
		return web.Unavailable("the command service can't be reached: " + err.Error())
	}
	out.Seconds = time.Since(began).Seconds()
	out.Status, out.Body = answer.Status, answer.Body
	if !json.Valid(out.Body) {
		out.Body, _ = json.Marshal(string(answer.Body)) // a text can always be encoded
	}
	for _, name := range []string{"Location", "Position", "Preference-Applied", "Retry-After"} {
		if value := answer.Header.Get(name); value != "" {
			out.Headers[name] = value
		}
	}
	switch {
	case !hasOutcome(answer.Status):
		out.NoWay = "the command was not taken"
	case track != nil:
		ctx, cancel := context.WithTimeout(r.Context(), wayTimeout)
		defer cancel()
		out.Way = track.Steps(ctx)
	}
	web.WriteJSON(w, http.StatusOK, out)
	return nil
}

// track begins to measure the way of a command.
func (s *Send) track(ctx context.Context, out *sent) (track *operations.Track, done func()) {
	if out.Stream == "" {
		out.NoWay = "the command can't be read"
		return nil, func() {}
	}
	tracker, closeIt, err := s.Tracker(ctx)
	if err != nil {
		out.NoWay = err.Error()
		return nil, func() {}
	}
	track = tracker.Begin(ctx, out.Stream, out.ID)
	return track, func() {
		track.Close()
		closeIt()
	}
}

// hasOutcome says whether a command with this answer has an outcome, or will
// have one: all others were refused by the gateway.
func hasOutcome(status int) bool {
	switch status {
	case http.StatusOK, http.StatusAccepted, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusPreconditionFailed, http.StatusInternalServerError:
		return true
	default:
		return false
	}
}

// streamOf returns the stream and the id of a command, "" for a command that the
// gateway will refuse, and for no id.
func (s *Send) streamOf(command []byte) (stream, id string) {
	var c struct {
		Type    string          `json:"type"`
		ID      string          `json:"id"`
		Payload json.RawMessage `json:"payload"`
	}
	if json.Unmarshal(command, &c) != nil {
		return "", ""
	}
	empty, t := s.Registry.NewCommand(c.Type)
	if empty == nil || strict.ReadCommand(t, c.Payload, empty) != nil {
		return "", c.ID
	}
	return t.Stream(empty.AggregateID()), c.ID
}
