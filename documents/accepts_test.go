package documents

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/handlers"
	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/web"
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

// valid says why a body is not what the schema says, nil if it is.
func valid(t *testing.T, schema *jsonschema.Schema, body []byte) error {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return schema.Validate(v)
}

// edges are values at the edges of what a member may be.
func edges() []any {
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
	for _, c := range users.Commands {
		texts = append(texts, c().Type())
	}
	for _, text := range texts {
		values = append(values, text)
	}
	return values
}

// The schema takes a body if, and only if, the gateway does.
func TestSchemaTakesWhatTheGatewayTakes(t *testing.T) {
	t.Parallel()
	schema := schemaAt(t, OpenAPI(), "/components/schemas/Command")
	gateway := &handlers.Gateway{
		Send: func(_ *messaging.Command, sent func(messaging.CommandPlace, error)) {
			sent(messaging.CommandPlace{}, nil)
		},
		Timeout: time.Minute, MaxInFlight: 1, MaxUndecided: 1, Ledger: func() *handlers.Ledger { return nil },
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
		if w.Code != http.StatusAccepted && w.Code != http.StatusBadRequest || (w.Code == http.StatusAccepted) != (wrong == nil) {
			t.Errorf("%s: the gateway says %d %s, the schema %v", text, w.Code, w.Body, wrong)
		}
		all++
		if w.Code == http.StatusAccepted {
			taken++
		}
	}
	values := edges()
	for _, value := range values {
		compare(value)
	}
	for _, create := range users.Commands {
		members := membersOf(t, create().Type())
		whole := func() map[string]any {
			payload := map[string]any{}
			for _, member := range members {
				payload[member] = "Alice"
			}
			return map[string]any{"type": create().Type(), "payload": payload}
		}
		compare(whole())
		for _, value := range values {
			for _, member := range []string{"type", "payload", "id", "expectedVersion", "ID", "other"} {
				body := whole()
				body[member] = value
				compare(body)
			}
			for _, member := range slices.Concat(members, []string{"other", "Name"}) {
				body := whole()
				as[object](body["payload"])[member] = value
				compare(body)
			}
		}
		for _, member := range members {
			body := whole()
			delete(as[object](body["payload"]), member)
			compare(body)
		}
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same each time
	pick := func() any { return values[random.IntN(len(values))] }
	for range 3000 {
		payload, body := map[string]any{"id": pick()}, map[string]any{"type": users.Commands[random.IntN(len(users.Commands))]().Type()}
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

// membersOf are the members of a command's payload, as the schema has them.
func membersOf(t *testing.T, wire string) (members []string) {
	t.Helper()
	schemas := object{}
	commands, _ := payloads(schemas)
	for _, c := range commands {
		if c.wire == wire {
			for member := range as[object](as[object](schemas[c.schema])["properties"]) {
				members = append(members, member)
			}
			return members
		}
	}
	t.Fatalf("there is no schema of %s", wire)
	return nil
}

// randomText is made of characters that somebody cares about.
func randomText(random *rand.Rand) string {
	from := []rune("ab1 \t\n\v\r\x00\x1F\x7F\u0080\u0085\u009F\u00A0\u1680\u2000\u200A\u200B\u2028\u202F\u205F\u3000\uFEFF\U0001F600")
	var text strings.Builder
	for range random.IntN(5) {
		fmt.Fprintf(&text, "%c", from[random.IntN(len(from))])
	}
	return text.String()
}
