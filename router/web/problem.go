package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	problemPrefix = "urn:millrace:problem:"
	// maxErrors is how many wrong places one problem names: what is asked in a
	// few bytes must not be answered with many.
	maxErrors = 20
)

// Problem is what a client is told when there is no answer: problem+json
// (RFC 9457). It names nothing internal.
type Problem struct {
	// Slug is the last part of the problem's type, and never changes:
	// urn:millrace:problem:<slug>.
	Slug string
	// Status is the HTTP status.
	Status int
	// Title says what kind of problem it is, the same words each time.
	Title string
	// Detail says what is wrong this time.
	Detail string
	// Errors are the places in the request that are wrong, if any. The client
	// is told the first 20.
	Errors []FieldError
	// ID is the command's id, where there is one: it is safe to ask again
	// with it.
	ID string
	// RetryAfter, if over 0, goes into the header of that name, in seconds.
	RetryAfter time.Duration
}

// FieldError is one wrong place in a request: in its body, or, if Parameter
// is set, elsewhere.
type FieldError struct {
	// Pointer is a JSON Pointer (RFC 6901) into the body, as /payload/name;
	// "" points to the whole of it.
	Pointer string
	// Parameter names a query parameter or header.
	Parameter string
	// Detail says what is allowed there.
	Detail string
}

// MarshalJSON writes either pointer or parameter, and detail.
func (e FieldError) MarshalJSON() ([]byte, error) {
	if e.Parameter != "" {
		return json.Marshal(struct {
			Parameter string `json:"parameter"`
			Detail    string `json:"detail"`
		}{e.Parameter, e.Detail})
	}
	return json.Marshal(struct {
		Pointer string `json:"pointer"`
		Detail  string `json:"detail"`
	}{e.Pointer, e.Detail})
}

// Error makes a problem an error, so that what finds it can return it.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// MarshalJSON writes the problem as RFC 9457 has it.
func (p *Problem) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Type   string       `json:"type"`
		Title  string       `json:"title"`
		Status int          `json:"status"`
		Detail string       `json:"detail,omitempty"`
		ID     string       `json:"id,omitempty"`
		Errors []FieldError `json:"errors,omitempty"`
	}{problemPrefix + p.Slug, p.Title, p.Status, p.Detail, p.ID, p.Errors[:min(len(p.Errors), maxErrors)]})
}

// ServeHTTP answers with the problem.
func (p *Problem) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	if p.RetryAfter > 0 {
		seconds := int64((p.RetryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
	}
	writeJSON(w, "application/problem+json", p.Status, p)
}

// WriteJSON answers with v as JSON.
func WriteJSON(w http.ResponseWriter, status int, v any) {
	writeJSON(w, "application/json", status, v)
}

// WriteEncoded answers with JSON that is encoded already. It may use what is
// behind body in its array.
func WriteEncoded(w http.ResponseWriter, status int, body []byte) {
	writeEncoded(w, "application/json", status, body)
}

func writeJSON(w http.ResponseWriter, mediaType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // answers are types of this program: they can be written
	}
	writeEncoded(w, mediaType, status, body)
}

func writeEncoded(w http.ResponseWriter, mediaType string, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("Content-Length", strconv.Itoa(len(body)+1))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // the client is gone: nobody to tell
}
