package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract checks answers against the document that their API serves.
type contract struct {
	t        *testing.T
	base     string // http://host:port
	document openAPI
	whole    any
	check    validator.Validator
	// seen are the operations with the statuses that were seen: "GET /users 200".
	seen map[string]bool
}

// openAPI is what a test reads in a document by itself.
type openAPI struct {
	Paths      map[string]struct{ Get, Post *operation }
	Components struct {
		Headers map[string]struct{ Required bool }
	}
}

type operation struct {
	Responses map[string]struct {
		Headers map[string]struct {
			Ref string `json:"$ref"`
		}
	}
}

// operations are those that a document has, by method and path.
func (d *openAPI) operations() map[[2]string]*operation {
	all := map[[2]string]*operation{}
	for path, item := range d.Paths {
		for method, o := range map[string]*operation{http.MethodGet: item.Get, http.MethodPost: item.Post} {
			if o != nil {
				all[[2]string{method, path}] = o
			}
		}
	}
	return all
}

// contractOf is the document that an API serves.
func contractOf(t *testing.T, address, token string) *contract {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+openAPIPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	got, err := do(http.DefaultClient, request)
	if err != nil {
		t.Fatal(err)
	}
	return newContract(t, address, []byte(got.body))
}

func newContract(t *testing.T, address string, text []byte) *contract {
	t.Helper()
	c := &contract{t: t, base: "http://" + address, seen: map[string]bool{}}
	if err := json.Unmarshal(text, &c.document); err != nil {
		t.Fatal(err)
	}
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	check, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	c.check = check
	if c.whole, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return c
}

// call is a request, and what the document calls its path.
type call struct {
	method, path string
	operation    string // as /users/{id}
	header       http.Header
	body         string
	wrong        bool // the document doesn't allow it
	status       int
}

// ask asks, and holds request and answer against the document.
func (c *contract) ask(a call) answer {
	c.t.Helper()
	request := func() *http.Request {
		r, err := http.NewRequestWithContext(c.t.Context(), a.method, c.base+a.path, strings.NewReader(a.body))
		if err != nil {
			c.t.Fatal(err)
		}
		if a.header != nil {
			r.Header = a.header.Clone()
		}
		return r
	}
	name := fmt.Sprintf("%s %s %v %.60s", a.method, a.path, a.header, a.body)
	lines := a.header.Get("Content-Type") == "application/x-ndjson" // which the validator takes for one JSON text
	if ok, wrong := c.check.ValidateHttpRequest(request()); ok == a.wrong && !lines {
		c.t.Errorf("%s: the document allows it: %t: %v", name, ok, wrong)
	}
	response, err := http.DefaultClient.Do(request())
	if err != nil {
		c.t.Fatal(err)
	}
	defer response.Body.Close()
	var text []byte
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		text = make([]byte, 8) // the first words of what has no end
		_, err = io.ReadFull(response.Body, text)
	} else {
		text, err = io.ReadAll(response.Body)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	got := answer{response.StatusCode, response.Header, string(text)}
	if got.status != a.status {
		c.t.Errorf("%s: got %s, want %d", name, got, a.status)
	}
	response.Body = io.NopCloser(bytes.NewReader(text))
	if lines && got.status == http.StatusOK {
		c.checkLines(got)
	} else if ok, wrong := c.check.ValidateHttpResponse(request(), response); !ok {
		c.t.Errorf("%s: %s is not what the document says: %v", name, got, wrong)
	}
	c.checkHeaders(name, a, got)
	c.seen[fmt.Sprintf("%s %s %d", a.method, a.operation, got.status)] = true
	return got
}

// checkLines holds each line against what the document says of it.
func (c *contract) checkLines(got answer) {
	c.t.Helper()
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("urn:document", c.whole); err != nil {
		c.t.Fatal(err)
	}
	schema, err := compiler.Compile("urn:document#/components/schemas/LineResult")
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(got.body) {
		result, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			c.t.Fatal(err)
		}
		if err := schema.Validate(result); err != nil {
			c.t.Errorf("%s: %v", line, err)
		}
	}
}

// ours are the headers that an answer may have only where the document says so.
var ours = []string{
	"Allow", "Cache-Control", "Etag", "Link", "Location", "Position", "Preference-Applied", "Retry-After", "Www-Authenticate",
}

func (c *contract) checkHeaders(name string, a call, got answer) {
	c.t.Helper()
	documented := c.document.operations()[[2]string{a.method, a.operation}].Responses[strconv.Itoa(got.status)]
	var known []string
	for header, to := range documented.Headers {
		known = append(known, http.CanonicalHeaderKey(header))
		component := strings.TrimPrefix(to.Ref, "#/components/headers/")
		if c.document.Components.Headers[component].Required && got.header.Get(header) == "" {
			c.t.Errorf("%s: %s has no %s", name, got, header)
		}
	}
	for _, header := range ours {
		if got.header.Get(header) != "" && !slices.Contains(known, header) {
			c.t.Errorf("%s: the document says nothing of the %s of %s", name, header, got)
		}
	}
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

// What the program answers is what its documents say.
func TestAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	s := oneProcess(t)
	commands, queries := contractOf(t, s.commandService.at.Commands, ""), contractOf(t, s.readAPI.at.Queries, "")

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
	for _, path := range []string{"/users/{id}", "/users/{id}/history", "/users/{id}/commands/{command}", "/stats/users", openAPIPath} {
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
	commands.ask(call{"GET", openAPIPath, openAPIPath, nil, "", false, 200})

	for _, c := range []*contract{commands, queries} {
		for at, operation := range c.document.operations() {
			for status := range operation.Responses {
				name := at[0] + " " + at[1] + " " + status
				if !slices.Contains(elsewhere, status) && !c.seen[name] && (at[1] != openAPIPath || c == queries) {
					t.Errorf("%s is documented, and was not seen", name)
				}
			}
		}
	}
}

// elsewhere are the statuses that tests of their own bring about.
var elsewhere = []string{"401", "403", "429", "500", "503"}
