package servicetest

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Answer is an answer of the service, read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   string

	t    testing.TB
	what string // the request
}

// Want ends the test unless the answer has the status, and the text somewhere in
// the body. Want returns the answer.
func (a Answer) Want(status int, text string) Answer {
	a.t.Helper()
	if a.Status != status || !strings.Contains(a.Body, text) {
		a.t.Fatalf("%s: %d %s\nwant %d with %s", a.what, a.Status, a.Body, status, text)
	}
	return a
}

// Position is the header Position of the answer: the position of an outcome, or
// of the read model that answered, for [Service.ReadAfter].
func (a Answer) Position() string { return a.Header.Get("Position") }

// Post sends a command, as JSON, to POST /commands. Headers are pairs of name and
// value: with "Prefer", "wait=30" the answer is the outcome of the command.
func (s *Service) Post(command string, headers ...string) Answer {
	s.t.Helper()
	return s.Ask(http.MethodPost, s.Commands+"/commands", command, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// Get asks the read API. The path is one of the read API, or a whole URL, such as
// the header Location of a command's answer.
func (s *Service) Get(path string, headers ...string) Answer {
	s.t.Helper()
	return s.Ask(http.MethodGet, s.Queries+strings.TrimPrefix(path, s.Queries), "", headers...)
}

// ReadAfter is Get of a read model that includes a position.
func (s *Service) ReadAfter(position, path string, headers ...string) Answer {
	s.t.Helper()
	return s.Get(path, append([]string{"Read-After", position}, headers...)...)
}

// Ask sends any request to any URL of the service.
func (s *Service) Ask(method, url, body string, headers ...string) Answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return Answer{answer.StatusCode, answer.Header, string(text), s.t, strings.TrimSpace(method + " " + url + " " + body)}
}
