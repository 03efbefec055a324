package web

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

const (
	problemPrefix = "urn:millrace:problem:"
	// maxErrors is the limit of field errors in an answer, because a short
	// request must not cause a long answer.
	maxErrors = 20
)

// Problem is the answer to a failed request: application/problem+json
// (RFC 9457). A problem names nothing internal.
type Problem struct {
	// Slug is the last part of the problem's type, urn:millrace:problem:<slug>.
	// A slug never changes.
	Slug string
	// Status is the HTTP status.
	Status int
	// Title names the kind of problem, always with the same words.
	Title string
	// Detail says what is wrong in this request.
	Detail string
	// Errors lists the wrong places in the request. The answer has the first 20.
	Errors []FieldError
	// ID is the id of the request's command, "" for none. A client may safely
	// send the command again with this id.
	ID string
	// RetryAfter, if over 0, becomes the header Retry-After, in seconds.
	RetryAfter time.Duration
}

// FieldError is one wrong place in a request: in the body, or in the query or a
// header if Parameter is set.
type FieldError struct {
	// Pointer is a JSON Pointer (RFC 6901) into the body, such as /payload/name;
	// "" is the whole body.
	Pointer string
	// Parameter is the name of a query parameter or header.
	Parameter string
	// Detail says which values are allowed.
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

// Error returns title and detail. A handler can return a problem as an error.
func (p *Problem) Error() string { return p.Title + ": " + p.Detail }

// MarshalJSON writes the problem in the form of RFC 9457.
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

// WriteEncoded answers with encoded JSON. WriteEncoded may write into the array
// behind body.
func WriteEncoded(w http.ResponseWriter, status int, body []byte) {
	writeEncoded(w, "application/json", status, body)
}

func writeJSON(w http.ResponseWriter, mediaType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a fault of this program: all types of answers can be encoded
	}
	writeEncoded(w, mediaType, status, body)
}

func writeEncoded(w http.ResponseWriter, mediaType string, status int, body []byte) {
	h := w.Header()
	values := []string{mediaType, strconv.Itoa(len(body) + 1), "nosniff"} // one slice for three
	h["Content-Type"], h["Content-Length"], h["X-Content-Type-Options"] = values[0:1:1], values[1:2:2], values[2:3:3]
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // after an error the client is gone
}
