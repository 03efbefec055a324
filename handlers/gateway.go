package handlers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
)

const (
	// maxBody is how long a command may be, in bytes.
	maxBody = 64 << 10
	// maxErrors is how many wrong places one problem names.
	maxErrors = 20

	headerIdempotencyKey = "Idempotency-Key"
)

// Gateway takes commands over HTTP and puts them on the command bus.
type Gateway struct {
	// Send puts a command on the command bus. No error means that Kafka holds
	// it. It may ignore its context.
	Send func(ctx context.Context, c *messaging.Command) error
	// Timeout is how long a send may take before its client is told that the
	// outcome is unknown.
	Timeout time.Duration
	// MaxInFlight is how many sends may be under way at once, those that
	// nobody waits for any more included.
	MaxInFlight int
	// MaxUndecided is how many commands that this gateway took may have no
	// outcome yet.
	MaxUndecided int
	// Ledger is where outcomes are read, nil as long as there is none.
	Ledger func() *Ledger
	// Stopping, once closed, ends all waits for outcomes.
	Stopping <-chan struct{}
	// StatusURL is the read API's public URL, which a command's Location
	// begins with; "" for no Location.
	StatusURL string
	Now       func() time.Time
	Log       *slog.Logger

	inFlight  chan struct{} // one element for each send under way
	undecided atomic.Int64
}

// Routes adds POST /commands to the router. Call it once.
func (g *Gateway) Routes(r *mux.Router) {
	g.inFlight = make(chan struct{}, g.MaxInFlight)
	r.Handle("/commands", web.Handler(g.Log, g.post)).Methods(http.MethodPost)
}

func (g *Gateway) post(w http.ResponseWriter, r *http.Request) error {
	c, err := g.read(w, r)
	if err != nil {
		return err
	}
	ledger := g.Ledger()
	wait := preferredWait(r.Header)
	if wait == 0 || ledger == nil {
		if err := g.take(r.Context(), ledger, c); err != nil {
			return err
		}
		g.accepted(w, c)
		return nil
	}
	watch := ledger.Watch(c.Stream, c.ID)
	defer watch.Close()
	if len(watch.C) == 0 { // it has no outcome yet that is known here
		if err := g.take(r.Context(), ledger, c); err != nil {
			return err
		}
	}
	return g.await(w, r, c, watch, wait)
}

// take sends a command, and counts it until it is decided. When too many are
// undecided, the handlers are behind, and taking more would only lengthen the
// queue.
func (g *Gateway) take(ctx context.Context, ledger *Ledger, c *messaging.Command) error {
	if g.undecided.Add(1) > int64(g.MaxUndecided) {
		g.undecided.Add(-1)
		return overloaded(c)
	}
	if ledger == nil {
		defer g.undecided.Add(-1)
		return g.send(ctx, c)
	}
	expected := ledger.Expect(c.Stream, c.ID, func() { g.undecided.Add(-1) })
	err := g.send(ctx, c)
	if err != nil && expected.Close() {
		g.undecided.Add(-1)
	}
	return err
}

func overloaded(c *messaging.Command) *web.Problem {
	return &web.Problem{
		Slug: "overloaded", Status: http.StatusServiceUnavailable, Title: "Overloaded",
		Detail: "too many commands are under way; send this one again, with this id",
		ID:     c.ID, RetryAfter: time.Second,
	}
}

// read makes a command of a request, or a problem.
func (g *Gateway) read(w http.ResponseWriter, r *http.Request) (*messaging.Command, error) {
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		return nil, invalid("this path takes no query")
	}
	if err := checkMedia(r.Header); err != nil {
		return nil, err
	}
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	key, keyErrors := idempotencyKey(r.Header)
	c, bodyErrors := decodeRequest(body)
	if wrong := append(keyErrors, bodyErrors...); len(wrong) > 0 {
		return nil, invalid("the request is wrong at the places in errors", wrong...)
	}
	switch {
	case c.ID != "" && key != "" && c.ID != key:
		return nil, invalid("the command has two ids", web.FieldError{
			Pointer: "/id", Detail: "must be the same as the header " + headerIdempotencyKey + ", where both are given",
		})
	case c.ID == "":
		c.ID = key
	}
	if c.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make a command id: %w", err)
		}
		c.ID = id.String()
	}
	c.Time = g.Now().UTC().Truncate(time.Millisecond)
	return c, nil
}

// send puts the command on the bus, or gives up waiting for that. A send that
// was given up keeps its place until it ends, so that the places do bound what
// a broker that hangs can pile up here.
func (g *Gateway) send(ctx context.Context, c *messaging.Command) error {
	select {
	case g.inFlight <- struct{}{}:
	default:
		return overloaded(c)
	}
	wait, cancel := context.WithTimeout(ctx, g.Timeout)
	defer cancel()
	sent := make(chan error, 1)
	go func() {
		// A client that leaves doesn't take its command back.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.Timeout)
		defer cancel()
		err := g.Send(ctx, c)
		if err != nil { // here, for it may come long after the answer
			g.Log.Warn("command not sent", "command", c.ID, "type", c.Type, "error", err)
		}
		<-g.inFlight // before the answer: the client's next command may need the place
		sent <- err
	}()
	select {
	case err := <-sent:
		if err == nil {
			return nil
		}
	case <-wait.Done():
	}
	problem := web.Unavailable("it is not known whether the command was taken; it is safe to send it again with this id")
	problem.ID = c.ID
	return problem
}

// checkMedia takes JSON in UTF-8, as it is.
func checkMedia(h http.Header) error {
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return unsupported("the request must have one Content-Type, application/json")
	}
	mediaType, parameters, err := mime.ParseMediaType(types[0])
	if err != nil || mediaType != "application/json" {
		return unsupported("the Content-Type must be application/json")
	}
	if charset, given := parameters["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return unsupported("the charset must be utf-8")
	}
	for _, coding := range h.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return unsupported("the body must not be compressed or encoded otherwise")
		}
	}
	return nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, &web.Problem{
			Slug: "too-large", Status: http.StatusRequestEntityTooLarge, Title: "Too large",
			Detail: fmt.Sprintf("a command is at most %d bytes long", maxBody),
		}
	case err != nil:
		return nil, invalid("the body ended before it was complete")
	}
	return body, nil
}

// commandID is what a command id looks like.
var commandID = regexp.MustCompile(`^[A-Za-z0-9._~:-]{1,128}$`)

const commandIDDetail = "must be 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : -"

// idempotencyKey is the command id in the header of that name, "" without
// one: a string as structured fields have it (RFC 9651, 3.3.3), or bare.
func idempotencyKey(h http.Header) (string, []web.FieldError) {
	values := h.Values(headerIdempotencyKey)
	if len(values) == 0 {
		return "", nil
	}
	if len(values) > 1 {
		return "", []web.FieldError{{Parameter: headerIdempotencyKey, Detail: "must not be repeated"}}
	}
	key := values[0]
	if n := len(key); n >= 2 && key[0] == '"' && key[n-1] == '"' {
		key = key[1 : n-1] // what may stand inside needs no unescaping
	}
	if !commandID.MatchString(key) {
		return "", []web.FieldError{{Parameter: headerIdempotencyKey, Detail: commandIDDetail}}
	}
	return key, nil
}

func invalid(detail string, wrong ...web.FieldError) *web.Problem {
	return &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: detail, Errors: wrong[:min(len(wrong), maxErrors)],
	}
}

func unsupported(detail string) *web.Problem {
	return &web.Problem{
		Slug: "unsupported-media-type", Status: http.StatusUnsupportedMediaType,
		Title: "Unsupported media type", Detail: detail,
	}
}
