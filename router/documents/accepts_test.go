package documents_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/documents"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/gateway"
	"github.com/millrace/millrace/router/web"
)

// schemaAt compiles a schema of a document.
func schemaAt(t *testing.T, document []byte, at string) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	if err := compiler.AddResource("urn:document", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("urn:document#" + at)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// valid says why a body breaks a schema, or returns nil.
func valid(t *testing.T, schema *jsonschema.Schema, body []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return schema.Validate(v)
}

// edges are values at the limits of the types of members.
func edges(commands []string) []any {
	texts := []string{
		"", " ", "a", "1", "01", "-1", "stats", "changes", ".", "..", "...", "Stats", "\x00", "a\x00b", "a\u007Fb", "a\u0085b",
		"\u0085a\u0085", "\ta\n", "\u00A0a\u3000", "\u200Ba", "\uFEFF", "\u2028x", "a b", "zo\u00eb", "\U0001F600", "\u00ad",
		"accepted", "a.b_c~d:e-f", "a/b", "a\n", "\na", "null", "\uFFFD",
	}
	for _, n := range []int{127, 128, 129, 199, 200, 201} {
		texts = append(texts, strings.Repeat("a", n), strings.Repeat("\U0001F600", n), " "+strings.Repeat("b", n)+"\n")
	}
	values := []any{
		nil, true, false, json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("9007199254740991"),
		json.Number("9007199254740992"), json.Number("1.5"), json.Number("1e400"), []any{}, []any{"a"}, map[string]any{},
	}
	texts = append(texts, commands...)
	for _, text := range texts {
		values = append(values, text)
	}
	return values
}

// The schema takes a body if, and only if, the gateway does. For nested values
// the schema is stricter: members must be there, null is refused.
func TestSchemaTakesWhatTheGatewayTakes(t *testing.T) {
	t.Parallel()
	d := both(t)
	document := documents.OpenAPI(d)
	schema := schemaAt(t, document, "/components/schemas/Command")
	gateway := &gateway.Gateway{
		Registry: d.Registry,
		Send: func(_ *eventlog.Envelope, sent func(eventlog.CommandPlace, error)) {
			sent(eventlog.CommandPlace{}, nil)
		},
		Timeout: time.Minute, MaxInFlight: 1, MaxUndecided: 1, States: func() *decider.StateStore { return nil },
		Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	router := web.NewRouter()
	gateway.Routes(router)
	taken, all := 0, 0
	compare := func(body any) {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, "/commands", bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		router.ServeHTTP(w, r)
		wrong := valid(t, schema, text)
		stricter := bytes.Contains(text, []byte(`"type":"pack"`)) && (bytes.Contains(text, []byte(":null")) || bytes.Contains(text, []byte(":{}")))
		if w.Code != http.StatusAccepted && w.Code != http.StatusBadRequest || (w.Code == http.StatusAccepted) != (wrong == nil) && (wrong == nil || !stricter) {
			t.Errorf("%s: the gateway says %d %s, the schema %v", text, w.Code, w.Body, wrong)
		}
		all++
		if w.Code == http.StatusAccepted {
			taken++
		}
	}
	commands := d.Registry.CommandTypes()
	values := edges(commands)
	for _, value := range values {
		compare(value)
	}
	for _, wire := range commands {
		example := exampleOf(t, document, wire)
		whole := func() object {
			var copied object
			if err := json.Unmarshal(example, &copied); err != nil {
				t.Fatal(err)
			}
			return copied
		}
		compare(whole())
		for _, value := range values {
			for _, member := range []string{"type", "payload", "id", "expectedVersion", "ID", "other"} {
				body := whole()
				body[member] = value
				compare(body)
			}
			for _, member := range append(membersOf(whole()), "other", "Name") {
				body := whole()
				as[object](t, body["payload"])[member] = value
				compare(body)
			}
		}
		for _, member := range membersOf(whole()) {
			body := whole()
			delete(as[object](t, body["payload"]), member)
			compare(body)
		}
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	pick := func() any { return values[random.IntN(len(values))] }
	for range 3000 {
		payload, body := object{"id": pick()}, object{"type": commands[random.IntN(len(commands))]}
		for _, member := range []string{"name", "id", "other"}[:random.IntN(4)] {
			payload[member] = randomText(random)
		}
		body["payload"] = payload
		if random.IntN(4) == 0 {
			body["id"] = pick()
		}
		if random.IntN(4) == 0 {
			body["expectedVersion"] = pick()
		}
		compare(body)
	}
	if taken < 300 || all-taken < 300 {
		t.Errorf("%d bodies were taken, %d refused: that shows too little", taken, all-taken)
	}
}

// exampleOf is a whole body of POST /commands with all members of its payload.
func exampleOf(t *testing.T, document []byte, wire string) []byte {
	t.Helper()
	if wire == "pack" {
		return []byte(`{"type":"pack","payload":{"id":"a","small":-1,"count":2,"weight":1.5,"tags":["a"],"prices":{"a":1},
			"box":{"label":"b","boxes":[{"label":"c"}]},"until":"2026-11-22T17:02:15Z","colour":"red","fragile":true,
			"picture":"AQID","corner":[1,2],"inner":{"free":true},"any":{"a":1}}}`)
	}
	payload := object{}
	properties := schemaAt(t, document, "/components/schemas/"+strings.ToUpper(wire[:1])+wire[1:]).Properties
	for member := range properties {
		payload[member] = "Alice"
	}
	text, err := json.Marshal(object{"type": wire, "payload": payload})
	if err != nil || len(properties) == 0 {
		t.Fatalf("%s: %v", wire, err)
	}
	return text
}

// membersOf are the members of a command's payload.
func membersOf(command object) []string {
	payload, _ := command["payload"].(object)
	return slices.Sorted(maps.Keys(payload))
}

// randomText is made of characters with a meaning in JSON, in URLs or in
// Unicode.
func randomText(random *rand.Rand) string {
	from := []rune("ab1 \t\n\v\r\x00\x1F\x7F\u0080\u0085\u009F\u00A0\u1680\u2000\u200A\u200B\u2028\u202F\u205F\u3000\uFEFF\U0001F600")
	var text strings.Builder
	for range random.IntN(5) {
		fmt.Fprintf(&text, "%c", from[random.IntN(len(from))])
	}
	return text.String()
}
