package openapi

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The service answers as its documents say, and each documented status is seen.
func TestAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	s := start(t)
	commands, queries := contractOf(t, s.Commands, ""), contractOf(t, s.Queries, "")

	waiting := headers("Content-Type", "application/json", "Prefer", "wait=10")
	post := func(status int, wrong bool, header http.Header, body string) answer {
		t.Helper()
		return commands.ask(call{"POST", "/commands", "/commands", header, body, wrong, status})
	}
	alice := `{"type":"createUser","payload":{"id":1,"name":"Alice"},"id":"c-1"}`
	post(200, false, waiting, alice)
	post(422, false, waiting, `{"type":"createUser","payload":{"id":1,"name":"Eve"},"id":"c-1"}`)
	post(409, false, waiting, `{"type":"createUser","payload":{"id":"1","name":"Eve"}}`)
	post(404, false, waiting, `{"type":"renameUser","payload":{"id":"nobody","name":"Eve"},"id":"c-2"}`)
	post(412, false, waiting, `{"type":"renameUser","payload":{"id":1,"name":"Eve"},"expectedVersion":7}`)
	post(202, false, headers("Content-Type", "application/json", "Idempotency-Key", `"c-3"`), `{"type":"createUser","payload":{"id":"zo\u00eb/1","name":" Zo\u00eb "}}`)
	post(200, false, waiting, `{"type":"createUser","payload":{"id":3,"name":"Carl"}}`)
	post(200, false, waiting, `{"type":"deactivateUser","payload":{"id":3}}`)
	post(409, false, waiting, `{"type":"deactivateUser","payload":{"id":3}}`)
	post(200, false, waiting, `{"type":"reactivateUser","payload":{"id":3}}`)
	post(200, false, waiting, `{"type":"renameUser","payload":{"id":3,"name":"Carla"}}`)
	post(200, false, waiting, `{"type":"changeEmail","payload":{"id":1,"email":"alice@example.org"}}`)
	position := post(200, false, waiting, `{"type":"deleteUser","payload":{"id":3}}`).header.Get("Position")
	post(410, false, waiting, `{"type":"renameUser","payload":{"id":3,"name":"Carla"}}`)
	post(400, true, waiting, `{"type":"createUser","payload":{"id":-1,"name":""},"ID":1}`)
	post(400, true, headers("Content-Type", "application/json", "Idempotency-Key", "a b"), alice)
	post(413, false, waiting, `{"type":"createUser","payload":{"id":9,"name":"`+"Alice"+strings.Repeat(" ", 64<<10)+`"}}`)
	post(415, true, headers("Content-Type", "text/plain"), alice)
	lines := post(200, false, headers("Content-Type", "application/x-ndjson", "Prefer", "wait=10"), alice+"\n{}\n"+`{"type":"deleteUser","payload":{"id":"nobody"}}`)
	if n := strings.Count(lines.body, "\n"); n != 3 {
		t.Errorf("%d results of 3 lines: %s", n, lines)
	}

	get := func(status int, wrong bool, operation, path string, header http.Header) answer {
		t.Helper()
		return queries.ask(call{"GET", path, operation, header, "", wrong, status})
	}
	after := headers("Read-After", position)
	get(200, false, "/users", "/users", after)
	if got := get(200, false, "/users", "/users?limit=1&active=true", nil); got.header.Get("Link") == "" {
		t.Errorf("%s has no next page", got)
	}
	get(400, true, "/users", "/users?limit=0", nil)
	get(400, false, "/users", "/users?other=1", nil)
	get(400, true, "/users", "/users", headers("Read-After", "?"))
	for _, path := range []string{"/users/{id}", "/users/{id}/history", "/users/{id}/commands/{command}", "/stats/users", documentPath} {
		of := strings.NewReplacer("{id}", "1", "{command}", "c-1").Replace(path)
		got := get(200, false, path, of, nil)
		get(304, false, path, of, headers("If-None-Match", got.header.Get("ETag")))
		get(400, false, path, of+"?other=1", nil)
	}
	get(410, false, "/users/{id}", "/users/3", after)
	get(200, false, "/users/{id}/history", "/users/3/history", after)
	get(200, false, "/users/{id}/history", "/users/3/history?limit=1", after)
	get(400, true, "/users/{id}/history", "/users/3/history?limit=x", nil)
	get(404, false, "/users/{id}", "/users/nobody", nil)
	get(404, false, "/users/{id}/history", "/users/nobody/history", nil)
	get(200, false, "/users/{id}/commands/{command}", "/users/nobody/commands/c-2", after)
	get(404, false, "/users/{id}/commands/{command}", "/users/nobody/commands/c-9", nil)
	get(200, false, "/changes", "/changes", nil)
	get(200, false, "/changes", "/changes?of=users", nil)
	get(400, true, "/changes", "/changes?of=people", nil)
	get(400, true, "/changes", "/changes", headers("Last-Event-ID", "?"))
	commands.ask(call{"GET", documentPath, documentPath, nil, "", false, 200})

	for _, c := range []*contract{commands, queries} {
		for at, operation := range c.document.operations() {
			for status := range operation.Responses {
				name := at[0] + " " + at[1] + " " + status
				if !slices.Contains(elsewhere, status) && !c.seen[name] && (at[1] != documentPath || c == queries) {
					t.Errorf("%s is documented, and was not seen", name)
				}
			}
		}
	}
}

// elsewhere are the statuses that other tests bring about.
var elsewhere = []string{"401", "403", "429", "500", "503"}
