package documents_test

import (
	"encoding/json"
	"flag"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/testing/parcels"
)

var update = flag.Bool("update", false, "write the documents in ../../docs")

type object = map[string]any

func as[T any](t *testing.T, v any) T {
	t.Helper()
	of, ok := v.(T)
	if !ok {
		t.Fatalf("%v is no %T", v, of)
	}
	return of
}

// at is the part of a document below these members.
func at(t *testing.T, text []byte, members ...string) object {
	t.Helper()
	var doc object
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, member := range members {
		doc = as[object](t, doc[member])
	}
	return doc
}

// Each aggregate has the router's paths.
func TestPathsOfEachAggregate(t *testing.T) {
	t.Parallel()
	text := documents.OpenAPI(both(t))
	got := map[string]string{}
	for path, item := range at(t, text, "paths") {
		if get, ok := as[object](t, item)["get"].(object); ok && strings.Contains(path, "s/") && !strings.HasPrefix(path, "/api/") {
			got[path] = as[string](t, get["operationId"])
		}
	}
	want := map[string]string{
		"/users/{id}": "getUser", "/stats/users": "getStats",
		"/users/{id}/history": "getUserHistory", "/users/{id}/commands/{command}": "getUserCommandStatus",
		"/parcels/{id}/history": "getParcelHistory", "/parcels/{id}/commands/{command}": "getParcelCommandStatus",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]any{"users", "parcels"}, at(t, text, "components", "parameters", "Of", "schema")["enum"]); diff != "" {
		t.Errorf("the aggregates that changes can be of (-want +got):\n%s", diff)
	}
	if enum := problemsOf(t, text, "/parcels/{id}/history", "get", "404"); !slices.Contains(enum, any("urn:millrace:problem:parcel-not-found")) {
		t.Errorf("the history of no parcel: %v", enum)
	}
}

// problemsOf are the types of an operation's problems of a status.
func problemsOf(t *testing.T, text []byte, path, method, status string) []any {
	t.Helper()
	schema := at(t, text, "paths", path, method, "responses", status, "content", "application/problem+json", "schema")
	own := as[object](t, as[[]any](t, schema["allOf"])[1])
	return as[[]any](t, as[object](t, as[object](t, own["properties"])["type"])["enum"])
}

// A command is answered with each refusal, by the status of its kind, and with
// no other status.
func TestRefusalsAreAnswers(t *testing.T) {
	t.Parallel()
	d := documents.Description{Title: "Bare", Version: "1", Registry: registryOf(t, parcels.Aggregate), Refusals: []*aggregate.Refusal{
		{Slug: "version-mismatch", Detail: "another version", Kind: aggregate.PreconditionFailed},
	}}
	text := documents.OpenAPI(d)
	for status, slug := range map[string]string{"410": "parcel-lost", "412": "version-mismatch"} {
		if got := problemsOf(t, text, "/commands", "post", status); len(got) != 1 || got[0] != "urn:millrace:problem:"+slug {
			t.Errorf("%s: %v", status, got)
		}
	}
	if responses := at(t, text, "paths", "/commands", "post", "responses"); responses["404"] != nil || responses["409"] != nil {
		t.Errorf("there are answers for refusals that nobody has: %v", slices.Sorted(maps.Keys(responses)))
	}
}

// Internal commands are in topic commands, and nothing for clients.
func TestInternalCommands(t *testing.T) {
	t.Parallel()
	internal := users.Definition
	internal.Commands, internal.Internal = internal.Commands[:2], internal.Commands[2:]
	d := both(t)
	d.Registry = registryOf(t, aggregate.Of(internal), parcels.Aggregate)
	var types []string
	for _, c := range documents.Commands(d) {
		types = append(types, c.Type)
	}
	if want := slices.DeleteFunc(d.Registry.CommandTypes(), d.Registry.IsInternal); !slices.Equal(types, want) || len(want) == len(d.Registry.CommandTypes()) {
		t.Errorf("described are %v, want %v", types, want)
	}
	text := string(documents.OpenAPI(d))
	messages := at(t, documents.AsyncAPI(d), "channels", "commands", "messages")
	for _, create := range internal.Internal {
		name := create().Type()
		if strings.Contains(text, `"`+name+`"`) {
			t.Errorf("%s is in the document for clients", name)
		}
		if messages[name] == nil {
			t.Errorf("%s is not in topic commands", name)
		}
	}
	message := at(t, documents.AsyncAPI(d), "components", "messages", "deleteUser")
	if message["summary"] != "A reaction's command. A client's is refused." {
		t.Errorf("the summary is %v", message["summary"])
	}
}
