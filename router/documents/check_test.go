package documents_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/testing/parcels"
)

const operation = `{operationId: x, responses: {"200": {description: Yes.}}}`

// A wrong fragment is refused with one line that names the mistake.
func TestWrongFragmentsAreRefused(t *testing.T) {
	t.Parallel()
	for fragment, want := range map[string]string{
		"paths: [":                                                            "fragment 1: the YAML is wrong: ",
		"path: {}":                                                            "unknown field \"path\"",
		"paths: []":                                                           "the YAML is wrong: ",
		"paths: {/a: {get: {}}, /a: {}}":                                      "already defined",
		"components: {schema: {A: {}}}":                                       "components/schema is not known; known are examples, headers",
		"components: {schemas: {A: 1}}":                                       "components/schemas/A is not an object",
		"components: {schemas: {a b: {}}}":                                    "components/schemas/a b is not",
		"components: {schemas: {Time: {}}}":                                   "components/schemas/Time is there twice",
		"components: {schemas: {ParcelColour: {}}}":                           "components/schemas/ParcelColour is there twice",
		"components: {parameters: {ParcelID: {}}}":                            "components/parameters/ParcelID is there twice",
		"paths: {a: {get: " + operation + "}}":                                `path "a" does not begin with a slash`,
		"paths: {/a: {}}":                                                     "path /a: there is no operation",
		"paths: {/a: {get: 1}}":                                               "path /a: get is not an object",
		"paths: {/a: {get: {responses: {}}}}":                                 "path /a: get: operationId is missing",
		"paths: {/a: {get: {operationId: x}}}":                                "path /a: get: responses is missing",
		"paths: {/a: {get: {operationId: x, responses: {200: 1}}}}":           "path /a: get: responses: 200 is not an object",
		"paths: {/commands: {get: " + operation + "}}":                        "path /commands is there twice",
		"paths: {'/parcels/{id}/history': {get: " + operation + "}}":          "path /parcels/{id}/history is there twice",
		"paths: {'/parcels/{parcel}/history': {get: " + operation + "}}":      "paths /parcels/{id}/history and /parcels/{parcel}/history are the same",
		"paths: {/a: {get: " + operation + "}, /b: {get: " + operation + "}}": "operationId x is that of /a and of /b",
		of("summary: .inf"):                                                   "the document can't be written",
		of("x-problems: 1"):                                                   "x-problems is not an object",
		of("x-problems: {'200': [a]}"):                                        `x-problems: "200" is not the status of a problem`,
		of("x-problems: {404: a}"):                                            "x-problems: 404 is not a list of texts",
		of("x-problems: {404: [a]}"):                                          `path /a: get: nothing says what problem "a" means`,
		of("x-problems: {404: [a]}") + "\nx-meanings: {A: a}":                 `x-meanings: "A" is no slug`,
		of("x-problem-headers: 1"):                                            "x-problem-headers is not an object",
		of("x-everywhere: 400"):                                               "x-everywhere is not a list of texts",
		of("x-refusals: true"):                                                "x-refusals is for commands",
		of("responses: {'400': {description: a}}"):                            "",
		of("parameters: [{$ref: '#/components/parameters/No'}]"):              "there is no #/components/parameters/No",
		of("x-problems: {404: [parcel-lost, not-found, a]}") + "\nx-meanings: {a: words}": "",
	} {
		d := documents.Description{Title: "Bare", Version: "1", Registry: registryOf(t, parcels.Aggregate), Fragments: [][]byte{[]byte(fragment)}}
		err := documents.Check(d)
		switch {
		case err == nil && want != "":
			t.Errorf("%s is taken", fragment)
		case err != nil && (want == "" || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: %v; want %s", fragment, err, want)
		}
	}
}

// of is a fragment whose operation has this additional member.
func of(member string) string {
	if strings.HasPrefix(member, "responses") {
		return "paths: {/a: {get: {operationId: x, x-everywhere: [], " + member + "}}}"
	}
	return "paths: {/a: {get: {operationId: x, responses: {'200': {description: Yes.}}, " + member + "}}}"
}

// The same fragment twice is refused, and so is an incomplete description.
func TestWrongDescriptionsAreRefused(t *testing.T) {
	t.Parallel()
	twice := shipped(t)
	twice.Fragments = append(twice.Fragments, twice.Fragments[0])
	untitled := shipped(t)
	untitled.Title = ""
	for want, d := range map[string]documents.Description{
		"fragment 3: components/schemas/User is there twice": twice,
		"the description has no title, or no version":        untitled,
		"the description has no registry":                    {Title: "Bare", Version: "1"},
	} {
		if err := documents.Check(d); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if err := documents.Check(both(t)); err != nil {
		t.Error(err)
	}
}

// words is a message of an aggregate that a test makes for one field.
type words[F any] struct {
	ID    string `json:"id"`
	Field F      `json:"field"`
}

func (*words[F]) Type() string                               { return "say" }
func (w *words[F]) AggregateID() string                      { return w.ID }
func (w *words[F]) Decide(int) (aggregate.Event[int], error) { return nil, nil }

func saying[F any](t *testing.T) documents.Description {
	t.Helper()
	return documents.Description{Title: "Bare", Version: "1", Registry: registryOf(t, aggregate.Of(aggregate.Definition[int]{
		Name: "speech", Plural: "speeches",
		Commands: []func() aggregate.Command[int]{func() aggregate.Command[int] { return new(words[F]) }},
	}))}
}

type silent struct{}

func (*silent) UnmarshalJSON([]byte) error { return nil }

type endless []endless

type plain struct{ A int }

type dated struct{ plain }

// A Go type that can't be described is refused. The error names the type and the
// field.
func TestTypesThatCannotBeDescribedAreRefused(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]documents.Description{
		"type chan int":               saying[chan int](t),
		"type documents_test.silent":  saying[silent](t),
		"type complex128":             saying[[]complex128](t),
		"type map[int]string":         saying[map[int]string](t),
		"type [16]uint8":              saying[*[16]byte](t),
		"type documents_test.endless": saying[endless](t),
		"field Inner: type func()":    saying[struct{ Inner func() }](t),
		"field plain is embedded":     saying[dated](t),
	} {
		err := documents.Check(d)
		if err == nil || !strings.HasPrefix(err.Error(), `aggregate "speech": command say: field Field: `) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// Messages of this program may have null for nil, and more members later.
func TestSchemasOfEvents(t *testing.T) {
	t.Parallel()
	schemas := at(t, documents.OpenAPI(documents.Description{Title: "Bare", Version: "1", Registry: registryOf(t, parcels.Aggregate)}), "components", "schemas")
	for name, want := range map[string]string{
		"Send": `{"type":"object","additionalProperties":false,"required":["id"],"properties":{"id":{"type":"string","minLength":1,
			"maxLength":128,"pattern":"^[^\u0000-\u001F\u007F-\u009F]*$","not":{"enum":[".",".."]},"examples":["1"]}}}`,
		"Sent": `{"type":"object","required":["id","boxes"],"properties":{"id":{"type":"string"},"boxes":{"type":"array",
			"items":{"anyOf":[{"$ref":"#/components/schemas/ParcelBox"},{"type":"null"}]}}}}`,
		"ParcelBox": `{"type":"object","required":["label"],"properties":{"label":{"type":"string"},
			"boxes":{"type":"array","items":{"$ref":"#/components/schemas/ParcelBox"}}}}`,
		"ParcelBoxInput": `{"type":"object","additionalProperties":false,"required":["label"],"properties":{"label":{"type":"string"},
			"boxes":{"type":"array","items":{"$ref":"#/components/schemas/ParcelBoxInput"}}}}`,
		"ParcelColour": `{"type":"string","enum":["red","blue"],"examples":["red"]}`,
	} {
		var wanted any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wanted, schemas[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	packed := as[object](t, as[object](t, schemas["Packed"])["properties"])
	if diff := cmp.Diff(object{"anyOf": []any{object{"type": "string", "format": "date-time"}, object{"type": "null"}}}, packed["until"]); diff != "" {
		t.Errorf("a pointer of an event (-want +got):\n%s", diff)
	}
}

// Go types of the same name stay apart, and a command and an event whose types
// have the same name on the wire.
func TestNamesStayApart(t *testing.T) {
	t.Parallel()
	d := documents.Description{Title: "Bare", Version: "1", Registry: registryOf(t, parcels.Crates, parcels.Drums)}
	openAPI, asyncAPI := documents.OpenAPI(d), documents.AsyncAPI(d)
	schemas := at(t, openAPI, "components", "schemas")
	for _, name := range []string{"CrateChange", "DrumChange", "CrateChanged", "DrumChanged", "CrateSize", "DrumSize"} {
		if schemas[name] == nil {
			t.Errorf("there is no schema %s", name)
		}
	}
	messages := at(t, asyncAPI, "components", "messages")
	for _, name := range []string{"change-crate", "change-crate.event", "change-drum", "change-drum.event"} {
		if messages[name] == nil {
			t.Errorf("there is no message %s", name)
		}
	}
}

// Examples are made if the schemas say enough, and fit the schemas.
func TestExamples(t *testing.T) {
	t.Parallel()
	d := documents.Description{Title: "Bare", Version: "1", Registry: registryOf(t, parcels.Aggregate)}
	text := documents.OpenAPI(d)
	examples := at(t, text, "paths", "/commands", "post", "requestBody", "content", "application/json", "examples")
	if len(examples) == 0 {
		t.Fatal("there is no example of a command")
	}
	schema := schemaAt(t, text, "/components/schemas/Command")
	for name, example := range examples {
		body, err := json.Marshal(as[object](t, example)["value"])
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, schema, body); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
