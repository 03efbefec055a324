package service

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
)

// A body without a valid command is answered with the right problem, and nothing
// reaches Kafka.
func TestBadBodies(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	for _, test := range []struct {
		name, contentType, body string
		status                  int
		slug                    string
		pointers                []string
	}{
		{"truncated", "application/json", createAlice[:len(createAlice)-5], 400, "invalid-request", []string{"/payload/name"}},
		{"empty", "application/json", "", 400, "invalid-request", []string{""}},
		{"doubled", "application/json", "{}{}", 400, "invalid-request", []string{""}},
		{"two commands", "application/json", createAlice + createAlice, 400, "invalid-request", []string{""}},
		{"duplicate key", "application/json", `{"type":"createUser","payload":{"id":1,"name":"Alice","id":1}}`, 400, "invalid-request", []string{"/payload/id"}},
		{"unknown key", "application/json", `{"type":"createUser","payload":{"id":1,"name":"Alice","age":1}}`, 400, "invalid-request", []string{"/payload/age"}},
		{"wrong case", "application/json", `{"Type":"createUser","payload":{"id":1,"name":"Alice"}}`, 400, "invalid-request", []string{"/type", "/Type"}},
		{"bad UTF-8", "application/json", "{\"type\":\"createUser\",\"payload\":{\"id\":1,\"name\":\"Al\xffice\"}}", 400, "invalid-request", []string{"/payload/name"}},
		{"lone surrogate", "application/json", `{"type":"createUser","payload":{"id":1,"name":"\ud800"}}`, 400, "invalid-request", []string{"/payload/name"}},
		{"65 KiB", "application/json", `{"type":"createUser","payload":{"id":1,"name":"` + strings.Repeat("A", 65<<10) + `"}}`, 413, "too-large", nil},
		{"nested 100 deep", "application/json", `{"type":"createUser","payload":{"id":1,"name":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}}`, 400, "invalid-request", nil},
		{"wrong type", "application/json", `{"type":"createUser","payload":{"id":1.5,"name":7}}`, 400, "invalid-request", []string{"/payload/id", "/payload/name"}},
		{"no object", "application/json", `["createUser"]`, 400, "invalid-request", []string{""}},
		{"unknown command", "application/json", `{"type":"createuser","payload":{"id":1,"name":"Alice"}}`, 400, "invalid-request", []string{"/type"}},
		{"media type", "text/plain", createAlice, 415, "unsupported-media-type", nil},
		{"charset", "application/json; charset=latin1", createAlice, 415, "unsupported-media-type", nil},
		{"no media type", "", createAlice, 415, "unsupported-media-type", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := send(s.client, http.MethodPost, "http://"+s.commandService.at.Commands+"/commands", test.contentType, test.body)
			if err != nil {
				t.Fatal(err)
			}
			wantProblem(t, got, test.status, test.slug)
			var problem struct {
				Errors []struct{ Pointer string }
			}
			if err := json.Unmarshal([]byte(got.body), &problem); err != nil {
				t.Fatal(err)
			}
			var pointers []string
			for _, e := range problem.Errors {
				pointers = append(pointers, e.Pointer)
			}
			if test.pointers != nil && !slices.Equal(pointers, test.pointers) {
				t.Errorf("it names %q, want %q: %s", pointers, test.pointers, got)
			}
		})
	}
	for _, wrong := range []struct {
		method, path string
		status       int
		slug         string
	}{
		{http.MethodGet, "/commands", 405, "method-not-allowed"},
		{http.MethodPost, "//commands", 404, "not-found"},
		{http.MethodPost, "/commands/", 404, "not-found"},
	} {
		got, err := send(s.client, wrong.method, "http://"+s.commandService.at.Commands+wrong.path, "application/json", createAlice)
		if err != nil {
			t.Fatal(err)
		}
		wantProblem(t, got, wrong.status, wrong.slug)
	}

	s.accept(`{"type":"createUser","payload":{"id":"good","name":"Good"}}`)
	if messages := s.dump(eventlog.TopicCommands); len(messages) != 1 || string(messages[0].Key) != "user/good" {
		t.Errorf("topic commands has %d messages, and only one command was good", len(messages))
	}
	s.waitForUser(user{ID: "good", Name: "Good", Version: 1, Active: true})
	s.waitForUsers(s.history())
}
