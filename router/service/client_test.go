package service

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/handlers/users"
)

// answer is an answer of a server.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// send sends a request and reads the whole answer.
func send(client *http.Client, method, url, contentType, body string) (answer, error) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	return do(client, request)
}

// do sends a request and reads the whole answer.
func do(client *http.Client, request *http.Request) (answer, error) {
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return answer{response.StatusCode, response.Header, string(text)}, err
}

// tryPost sends a command to a service. The service may be away.
func (s *stack) tryPost(command string) (answer, error) {
	return send(s.client, http.MethodPost, "http://"+s.commandService.at.Commands+"/commands", "application/json", command)
}

// post sends a command.
func (s *stack) post(command string) answer {
	s.t.Helper()
	got, err := s.tryPost(command)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// accept sends a command, and wants a 202.
func (s *stack) accept(command string) {
	s.t.Helper()
	if got := s.post(command); got.status != http.StatusAccepted {
		s.t.Fatalf("POST %s: %s", command, got)
	}
}

// get asks the read API. The read API may be away.
func (s *stack) get(path string) (answer, error) {
	return send(s.client, http.MethodGet, "http://"+s.readAPI.at.Queries+path, "", "")
}

// user is a user in GET /users.
type user struct {
	ID      users.ID
	Name    string
	Version uint64
	Active  bool
}

// readUsers are all users of the read model, up to 1,000, by id.
func (s *stack) readUsers() (map[users.ID]user, error) {
	got, err := s.get("/users?limit=1000")
	if err != nil {
		return nil, err
	}
	var list []user
	if err := json.Unmarshal([]byte(got.body), &list); got.status != http.StatusOK || err != nil {
		return nil, fmt.Errorf("GET /users: %s", got)
	}
	byID := map[users.ID]user{}
	for _, u := range list {
		byID[u.ID] = u
	}
	return byID, nil
}

// waitForUser waits until the read model has a user just so.
func (s *stack) waitForUser(want user) {
	s.t.Helper()
	eventually(s.t, "the read model", func() error {
		all, err := s.readUsers()
		if err != nil {
			return err
		}
		if got := all[want.ID]; got != want {
			return fmt.Errorf("got %+v, want %+v", got, want)
		}
		return nil
	})
}

// wantProblem wants a problem of this kind.
func wantProblem(t *testing.T, got answer, status int, slug string) {
	t.Helper()
	var problem struct{ Type string }
	err := json.Unmarshal([]byte(got.body), &problem)
	if err != nil || got.status != status || problem.Type != "urn:millrace:problem:"+slug ||
		got.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %s, %s; want %d, problem %s", got, got.header.Get("Content-Type"), status, slug)
	}
}
