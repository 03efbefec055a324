package gateway

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/strict"
	"github.com/millrace/millrace/router/web"
)

// now is the time of acceptance.
var now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// The hash is on the wire and in every state store: the hash never changes.
func TestHash(t *testing.T) {
	const (
		created  = "f65840f2c4e7eeea74fedf3acc619dd93f34bacfe30521858d998833bdea214e"
		later    = "a3c4d0af9a0d8574da3229b4d892df45a8d70d0faf01e4caffc1eb33b01687cb"
		expected = "1181118f33bfd6767aaded3158e7a1690f04019787f1d2bfc65221be6601314f"
		other    = "86ba7f4c4db3034361a1a83a78bdb62a455fbe90fa22a80e55a09e8c179d2fb5"
	)
	tests := []struct{ name, body, want string }{
		{"as written", `{"type":"createUser","payload":{"id":1,"name":"Alice"}}`, created},
		{"members in another order", `{"payload":{"name":"Alice","id":1},"type":"createUser"}`, created},
		{"white space and escapes", " {\n\"type\" : \"create\\u0055ser\", \"payload\":{\"id\":\"1\",\"name\":\" \\u0041lice \"} }\n", created},
		{"the command's id is no part of it", `{"id":"a","type":"createUser","payload":{"id":1,"name":"Alice"}}`, created},
		{"expected version", `{"type":"createUser","payload":{"id":1,"name":"Alice"},"expectedVersion":0}`, expected},
		{"not before", `{"type":"createUser","payload":{"id":1,"name":"Alice"},"notBefore":"2026-12-24T18:00:00Z"}`, later},
		{"the same time", `{"notBefore":"2026-12-24T19:00:00.000+01:00","type":"createUser","payload":{"id":1,"name":"Alice"}}`, later},
		{"another payload", `{"type":"createUser","payload":{"id":1,"name":"alice"}}`, other},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, wrong := decodeRequest(registry, []byte(test.body), now)
			if wrong != nil {
				t.Fatalf("refused: %v", wrong)
			}
			if c.Hash != test.want {
				t.Errorf("got %s, want %s", c.Hash, test.want)
			}
		})
	}
}

func TestHashTellsApart(t *testing.T) {
	seen := map[string]string{}
	for _, body := range []string{
		`{"type":"createUser","payload":{"id":1,"name":"Alice"}}`,
		`{"type":"renameUser","payload":{"id":1,"name":"Alice"}}`,
		`{"type":"createUser","payload":{"id":2,"name":"Alice"}}`,
		`{"type":"createUser","payload":{"id":"01","name":"Alice"}}`,
		`{"type":"createUser","payload":{"id":1,"name":"Alice"},"expectedVersion":0}`,
		`{"type":"createUser","payload":{"id":1,"name":"Alice"},"expectedVersion":1}`,
		`{"type":"createUser","payload":{"id":1,"name":"Alice"},"notBefore":"2026-12-24T18:00:00Z"}`,
		`{"type":"createUser","payload":{"id":1,"name":"Alice"},"notBefore":"2026-12-24T18:00:00.001Z"}`,
		`{"type":"cancelScheduled","payload":{"stream":"user/1","commandId":"a"}}`,
		`{"type":"cancelScheduled","payload":{"stream":"user/1","commandId":"b"}}`,
		`{"type":"deleteUser","payload":{"id":1}}`,
		`{"type":"deleteUser","payload":{"id":1},"expectedVersion":1}`,
		`{"type":"deactivateUser","payload":{"id":1}}`,
	} {
		c, wrong := decodeRequest(registry, []byte(body), now)
		if wrong != nil {
			t.Fatalf("%s refused: %v", body, wrong)
		}
		if before, ok := seen[c.Hash]; ok {
			t.Errorf("%s and %s have the same hash", before, body)
		}
		seen[c.Hash] = body
	}
}

// An internal command is nobody's for clients.
func TestInternalCommandIsNoCommandOfClients(t *testing.T) {
	d := users.Definition
	d.Commands, d.Internal = d.Commands[:1], d.Commands[1:]
	registry, err := aggregate.NewRegistry(aggregate.Of(d))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{d.Internal[0]().Type(), "nothing"} {
		c, wrong := decodeRequest(registry, fmt.Appendf(nil, `{"type":%q,"payload":{"id":1,"name":"Alice"}}`, name), now)
		want := []web.FieldError{{Pointer: "/type", Detail: "must be one of createUser, cancelScheduled"}}
		if diff := cmp.Diff(want, wrong); c != nil || diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// A field that reads itself says in plain words which values the field takes;
// decodeRequest matches members to fields by their tags.
func TestCommandFields(t *testing.T) {
	for _, newCommand := range users.Aggregate.Commands() {
		command := reflect.TypeOf(newCommand()).Elem()
		for i := range command.NumField() {
			field := command.Field(i)
			if field.Tag.Get("json") == "" || field.Type.Kind() == reflect.Pointer {
				t.Errorf("%s.%s: want a json tag, and no pointer: each member of a payload is required", command, field.Name)
			}
			if !reflect.PointerTo(field.Type).Implements(reflect.TypeFor[json.Unmarshaler]()) {
				t.Errorf("%s.%s is a %s, which checks nothing", command, field.Name, field.Type)
			}
		}
	}
}

// An accepted command is accepted again in its normalised form, and another
// JSON library reads the same command.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		alice,
		`{"type":"renameUser","payload":{"id":"<\u00e9>","name":" \ud83d\ude00 "},"id":"a","expectedVersion":9007199254740991}`,
		`{"type":"deactivateUser","payload":{"id":"01"}}`,
		`{"type":"reactivateUser","payload":{"id":9007199254740991},"expectedVersion":0}`,
		`{"type":"deleteUser","payload":{"id":"a\u2028b"}}`,
		`{"type":"deleteUser","payload":{"id":"a"},"notBefore":"2026-12-24T18:00:00.0001+01:00"}`,
		`{"type":"cancelScheduled","payload":{"stream":"user/a","commandId":"b"}}`,
		`{"type":"deleteUser","type":"deleteUser"}`, `{"payload":{"id":[[]]}}`, `{"type":"\ud800"}`, `{}{}`, `null`, "\ufeff{}", ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, wrong := decodeRequest(registry, body, now)
		if (c == nil) == (wrong == nil) {
			t.Fatalf("both or neither of command %v and errors %v", c, wrong)
		}
		if c == nil {
			return
		}
		again := fmt.Sprintf(`{"type":%q,"payload":%s}`, c.Type, c.Body)
		if c.ExpectedVersion != nil {
			again = fmt.Sprintf(`{"type":%q,"payload":%s,"expectedVersion":%d}`, c.Type, c.Body, *c.ExpectedVersion)
		}
		if !c.NotBefore.IsZero() {
			again = fmt.Sprintf(`%s,"notBefore":%q}`, strings.TrimSuffix(again, "}"), eventlog.FormatTime(c.NotBefore))
		}
		second, wrong := decodeRequest(registry, []byte(again), now)
		if wrong != nil {
			t.Fatalf("%s refused, after %s: %v", again, body, wrong)
		}
		second.ID = c.ID
		command, of := decider.NewCommand(registry, c.Type), registry.OfCommand(c.Type)
		if err := strict.ReadCommand(of, c.Body, command); err != nil || string(decider.EncodeBody(command)) != string(c.Body) {
			t.Errorf("the decider reads %s as %+v: %v", c.Body, command, err)
		}
		if diff := cmp.Diff(c, second); diff != "" {
			t.Errorf("%s is not %s (-first +second):\n%s", again, body, diff)
		}
		if diff := cmp.Diff(readOtherwise(t, body), c); diff != "" {
			t.Errorf("%s (-encoding/json +ours):\n%s", body, diff)
		}
	})
}

// The decider reads the payloads that the gateway reads, and no others: a command
// written straight to topic commands gets no other reading.
func FuzzPayloadFromKafka(f *testing.F) {
	for _, seed := range []string{
		`{"id":"vic","name":"Vic"}`, `{"id":"vic","nick":"V"}`, `{"id":"vic","Name":"V"}`, `{"id":1,"name":null}`, `{"id":1,"id":2}`,
		`{"id":1,"name":"a","name":"b"}`, `{"id":[[[[]]]]}`, `[]`, ``, `{"id":1}`, "{\"id\":\"\xff\"}", `{"id":"","name":""}`, `{"id":1e3,"name":"a"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, commandType := range registry.CommandTypes() {
			command, of := registry.NewCommand(commandType)
			err := strict.ReadCommand(of, payload, command)
			if !json.Valid(payload) {
				if err == nil {
					t.Fatalf("%q is no JSON, and is read as %+v", payload, command)
				}
				continue
			}
			c, wrong := decodeRequest(registry, fmt.Appendf(nil, `{"type":%q,"payload":%s}`, commandType, payload), now)
			if (err == nil) != (c != nil) {
				t.Fatalf("%s %s: %v from Kafka, %v by HTTP", commandType, payload, err, wrong)
			}
			if c != nil && string(decider.EncodeBody(command)) != string(c.Body) {
				t.Fatalf("%s %s is %s by HTTP, and %+v from Kafka", commandType, payload, c.Body, command)
			}
		}
	})
}

// readOtherwise makes a command of a body with encoding/json, and shares only
// the types of the domain with the decoder.
func readOtherwise(t *testing.T, body []byte) *eventlog.Envelope {
	t.Helper()
	var envelope struct {
		Type            string
		ID              string
		ExpectedVersion *uint64
		Payload         json.RawMessage
		NotBefore       time.Time
	}
	if err := json.Unmarshal(body, &envelope); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var all []aggregate.AnyCommand
	for _, newCommand := range users.Aggregate.Commands() {
		all = append(all, newCommand())
	}
	for _, command := range append(all, new(decider.CancelScheduled)) {
		if command.Type() != envelope.Type {
			continue
		}
		if err := json.Unmarshal(envelope.Payload, command); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		c := &eventlog.Envelope{
			Type: envelope.Type, Stream: users.Aggregate.Stream(command.AggregateID()), ID: envelope.ID,
			ExpectedVersion: envelope.ExpectedVersion, Body: decider.EncodeBody(command), Time: now,
		}
		if !envelope.NotBefore.IsZero() {
			c.NotBefore = envelope.NotBefore.UTC().Add(999_999).Truncate(time.Millisecond)
		}
		c.Hash = hashOf(c)
		return c
	}
	t.Fatalf("%s: no such type", body)
	return nil
}
