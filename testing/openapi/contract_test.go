package openapi

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

// documentPath is where an API serves its document.
const documentPath = "/openapi.json"

// contract checks the answers of an API against a document.
type contract struct {
	t        *testing.T
	base     string // the URL of the API
	document description
	whole    any // the document, for JSON Schema
	check    validator.Validator
	// seen has the operations with the statuses of the answers so far: "GET
	// /users 200".
	seen map[string]bool
}

// description is the part of a document that tests read themselves.
type description struct {
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

// operations are the operations of a document, by method and path.
func (d *description) operations() map[[2]string]*operation {
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

// contractOf is the contract of an API with the document that the API serves.
func contractOf(t *testing.T, base, token string) *contract {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+documentPath, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return newContract(t, base, text)
}

func newContract(t *testing.T, base string, text []byte) *contract {
	t.Helper()
	c := &contract{t: t, base: base, check: validatorOf(t, text), seen: map[string]bool{}}
	if err := json.Unmarshal(text, &c.document); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.whole, err = jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	return c
}

// validatorOf is the validator of a document, which must be OpenAPI.
func validatorOf(t *testing.T, text []byte) validator.Validator {
	t.Helper()
	document, err := libopenapi.NewDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	check, errs := validator.NewValidator(document)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return check
}

// call is a request, and the answer that the test expects.
type call struct {
	method, path string
	operation    string // the path in the document, as /users/{id}
	header       http.Header
	body         string
	wrong        bool // the document doesn't allow the request
	status       int
}

// answer is an answer, with the whole body.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// ask sends a request, and checks request and answer against the document.
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
	lines := a.header.Get("Content-Type") == "application/x-ndjson" // the validator takes the lines for one JSON text
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
		text = make([]byte, 8) // the first words: the stream has no end
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

// checkLines checks each line of an answer against the document.
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

// checkHeaders checks that an answer has the headers that the document
// requires, and no header of ours without a word in the document.
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

// headers are HTTP headers, from names and values in turn.
func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}
