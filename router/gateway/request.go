package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/strict"
	"github.com/millrace/millrace/router/web"
)

const (
	// maxBody is the greatest length of a command, in bytes.
	maxBody = 64 << 10

	headerIdempotencyKey = "Idempotency-Key"

	mediaJSON   = "application/json"
	mediaNDJSON = "application/x-ndjson"
)

// read reads a command from a request. A problem is the error.
func (g *Gateway) read(w http.ResponseWriter, r *http.Request) (*eventlog.Envelope, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	key, keyErrors := idempotencyKey(r.Header)
	c, bodyErrors := decodeRequest(g.Registry, body, g.Now())
	if wrong := slices.Concat(keyErrors, bodyErrors); len(wrong) > 0 {
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
	return c, g.stamp(c)
}

// stamp gives a command an id if the client gave none.
func (g *Gateway) stamp(c *eventlog.Envelope) error {
	if c.ID == "" {
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make a command id: %w", err)
		}
		c.ID = id.String()
	}
	return nil
}

// mediaOf is the media type of a request: JSON for one command, NDJSON for
// many, in UTF-8 and not compressed.
func mediaOf(h http.Header) (string, error) {
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return "", unsupported("the request must have one Content-Type, " + mediaJSON + " or " + mediaNDJSON)
	}
	mediaType, parameters, err := types[0], map[string]string(nil), error(nil)
	if mediaType != mediaJSON { // nearly all requests have it so
		mediaType, parameters, err = mime.ParseMediaType(types[0])
	}
	if err != nil || mediaType != mediaJSON && mediaType != mediaNDJSON {
		return "", unsupported("the Content-Type must be " + mediaJSON + " or " + mediaNDJSON)
	}
	if charset, given := parameters["charset"]; given && !strings.EqualFold(charset, "utf-8") {
		return "", unsupported("the charset must be utf-8")
	}
	for _, coding := range h.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return "", unsupported("the body must not be compressed or encoded otherwise")
		}
	}
	return mediaType, nil
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > maxBody {
		w.Header().Set("Connection", "close") // or net/http would read the body before the answer
		return nil, tooLarge()
	}
	if r.ContentLength > 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, invalid(bodyEnded)
		}
		return body, nil
	}
	var text bytes.Buffer
	_, err := text.ReadFrom(http.MaxBytesReader(w, r.Body, maxBody))
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &long):
		return nil, tooLarge()
	case err != nil:
		return nil, invalid(bodyEnded)
	}
	return text.Bytes(), nil
}

const bodyEnded = "the body ended before it was complete"

// idempotencyKey is the command id in the header Idempotency-Key, "" without
// the header: a string in the form of structured fields (RFC 9651, section
// 3.3.3), or bare.
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
		key = key[1 : n-1] // no valid id needs unescaping
	}
	if !strict.IsCommandID(key) {
		return "", []web.FieldError{{Parameter: headerIdempotencyKey, Detail: strict.CommandIDDetail}}
	}
	return key, nil
}

func invalid(detail string, wrong ...web.FieldError) *web.Problem {
	return &web.Problem{
		Slug: "invalid-request", Status: http.StatusBadRequest,
		Title: "Invalid request", Detail: detail, Errors: wrong,
	}
}

func unsupported(detail string) *web.Problem {
	return &web.Problem{
		Slug: "unsupported-media-type", Status: http.StatusUnsupportedMediaType,
		Title: "Unsupported media type", Detail: detail,
	}
}

func tooLarge() *web.Problem {
	return &web.Problem{
		Slug: "too-large", Status: http.StatusRequestEntityTooLarge, Title: "Too large",
		Detail: fmt.Sprintf("a command is at most %d bytes long", maxBody),
	}
}
