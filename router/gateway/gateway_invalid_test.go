package gateway

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A body with two readings is refused, with the wrong places, and never reaches
// the bus.
func TestGatewayInvalid(t *testing.T) {
	const (
		invalid   = "urn:millrace:problem:invalid-request"
		tooLarge  = "urn:millrace:problem:too-large"
		mediaType = "urn:millrace:problem:unsupported-media-type"
	)
	in := func(member string) string { // one more member in the envelope
		return strings.TrimSuffix(alice, "}") + "," + member + "}"
	}
	payload := func(members string) string { return `{"type":"createUser","payload":{` + members + `}}` }
	nested := func(levels int) string { // as the id, which itself stands at depth 2
		return payload(`"name":"Alice","id":` + strings.Repeat("[", levels) + strings.Repeat("]", levels))
	}
	tests := []struct {
		name     string
		body     string
		headers  []string
		status   int
		problem  string
		pointers []string
	}{
		{"no media type", alice, []string{"Content-Type", "-"}, 415, mediaType, nil},
		{"other media type", alice, []string{"Content-Type", "text/plain"}, 415, mediaType, nil},
		{"form", alice, []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, mediaType, nil},
		{"JSON-like media type", alice, []string{"Content-Type", "application/merge-patch+json"}, 415, mediaType, nil},
		{"no media type at all", alice, []string{"Content-Type", ";"}, 415, mediaType, nil},
		{"two media types", alice, []string{"Content-Type", "application/json", "Content-Type", "application/json"}, 415, mediaType, nil},
		{"a list of media types", alice, []string{"Content-Type", "application/json, application/json"}, 415, mediaType, nil},
		{"charset", alice, []string{"Content-Type", "application/json; charset=iso-8859-1"}, 415, mediaType, nil},
		{"charset utf-16", alice, []string{"Content-Type", "application/json; charset=utf-16"}, 415, mediaType, nil},
		{"empty charset", alice, []string{"Content-Type", `application/json; charset=""`}, 415, mediaType, nil},
		{"two charsets", alice, []string{"Content-Type", "application/json; charset=utf-8; charset=latin1"}, 415, mediaType, nil},
		{"gzip", alice, []string{"Content-Encoding", "gzip"}, 415, mediaType, nil},
		{"identity, then gzip", alice, []string{"Content-Encoding", "identity", "Content-Encoding", "gzip"}, 415, mediaType, nil},
		{"a list of codings", alice, []string{"Content-Encoding", "identity, gzip"}, 415, mediaType, nil},
		{"a byte too long", alice + strings.Repeat(" ", 64<<10-len(alice)+1), nil, 413, tooLarge, nil},

		{"empty", "", nil, 400, invalid, []string{""}},
		{"white space", " \r\n\t", nil, 400, invalid, []string{""}},
		{"BOM", "\ufeff" + alice, nil, 400, invalid, []string{""}},
		{"UTF-16", "\xff\xfe{\x00}\x00", nil, 400, invalid, []string{""}},
		{"cut off", `{"type":"createUser","payload":{"id":1`, nil, 400, invalid, []string{"/payload"}},
		{"cut off in a string", `{"type":"create`, nil, 400, invalid, []string{"/type"}},
		{"two objects", alice + alice, nil, 400, invalid, []string{""}},
		{"two empty objects", "{}{}", nil, 400, invalid, []string{""}},
		{"two lines", alice + "\n" + alice, nil, 400, invalid, []string{""}},
		{"trailing word", alice + " x", nil, 400, invalid, []string{""}},
		{"trailing zero byte", alice + "\x00", nil, 400, invalid, []string{""}},
		{"null", "null", nil, 400, invalid, []string{""}},
		{"array", "[" + alice + "]", nil, 400, invalid, []string{""}},
		{"string", `"createUser"`, nil, 400, invalid, []string{""}},
		{"number", "1", nil, 400, invalid, []string{""}},
		{"single quotes", `{'type':'createUser'}`, nil, 400, invalid, []string{""}},
		{"comment", "/* */" + alice, nil, 400, invalid, []string{""}},
		{"trailing comma", `{"type":"createUser",}`, nil, 400, invalid, []string{""}},
		{"bare name", `{type:"createUser"}`, nil, 400, invalid, []string{""}},
		{"control character", payload(`"id":1,"name":"A` + "\n" + `"`), nil, 400, invalid, []string{"/payload/name"}},
		{"invalid UTF-8", payload(`"id":1,"name":"A` + "\xff" + `"`), nil, 400, invalid, []string{"/payload/name"}},
		{"overlong UTF-8", payload(`"id":1,"name":"A` + "\xc0\xaf" + `"`), nil, 400, invalid, []string{"/payload/name"}},
		{"surrogate in UTF-8", payload(`"id":1,"name":"A` + "\xed\xa0\x80" + `"`), nil, 400, invalid, []string{"/payload/name"}},
		{"lone high surrogate", payload(`"id":1,"name":"\ud800"`), nil, 400, invalid, []string{"/payload/name"}},
		{"lone low surrogate", payload(`"id":"\udc00","name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"surrogates in reverse", payload(`"id":1,"name":"\ude00\ud83d"`), nil, 400, invalid, []string{"/payload/name"}},
		{"lone surrogate in a name", in(`"\ud800":1`), nil, 400, invalid, []string{""}},
		{"nested 32 deep", nested(30), nil, 400, invalid, []string{"/payload/id"}},
		{"nested 33 deep", nested(31), nil, 400, invalid, []string{"/payload/id" + strings.Repeat("/0", 30)}},
		{"nested 30,000 deep", strings.Repeat("[", 30_000), nil, 400, invalid, []string{strings.Repeat("/0", 32)}},

		{"duplicate type", in(`"type":"deleteUser"`), nil, 400, invalid, []string{"/type"}},
		{"duplicate type, escaped", in(`"\u0074ype":"deleteUser"`), nil, 400, invalid, []string{"/type"}},
		{"duplicate payload", in(`"payload":{"id":2,"name":"Bob"}`), nil, 400, invalid, []string{"/payload"}},
		{"duplicate in the payload", payload(`"id":1,"id":1,"name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"duplicate in a value that is wrong anyway", payload(`"id":{"x":1,"x":1},"name":"A"`), nil, 400, invalid, []string{"/payload/id/x"}},
		{"wrong case", `{"Type":"createUser","PAYLOAD":{"id":1,"name":"A"}}`, nil, 400, invalid, []string{"/type", "/payload", "/PAYLOAD", "/Type"}},
		{"wrong case beside the right one", in(`"Type":"deleteUser"`), nil, 400, invalid, []string{"/Type"}},
		{"wrong case in the payload", payload(`"Id":1,"name":"A"`), nil, 400, invalid, []string{"/payload/id", "/payload/Id"}},
		{"wrong case as only Unicode has it", in(`"expectedVer\u017fion":1`), nil, 400, invalid, []string{"/expectedVerſion"}},
		{"name with white space", in(`"id ":"a"`), nil, 400, invalid, []string{"/id "}},
		{"unknown member", in(`"a/b~c":1`), nil, 400, invalid, []string{"/a~1b~0c"}},
		{"unknown member without a name", in(`"":1`), nil, 400, invalid, []string{"/"}},
		{"unknown member in the payload", payload(`"id":1,"name":"A","role":"admin"`), nil, 400, invalid, []string{"/payload/role"}},
		{"member of another command", `{"type":"deleteUser","payload":{"id":1,"name":"A"}}`, nil, 400, invalid, []string{"/payload/name"}},
		{"empty object", "{}", nil, 400, invalid, []string{"/type", "/payload"}},
		{"no type", `{"payload":{"id":1,"name":"A"}}`, nil, 400, invalid, []string{"/type"}},
		{"no payload", `{"type":"createUser"}`, nil, 400, invalid, []string{"/payload"}},
		{"null type", `{"type":null,"payload":{}}`, nil, 400, invalid, []string{"/type"}},
		{"type of a wrong type", `{"type":["createUser"],"payload":{}}`, nil, 400, invalid, []string{"/type"}},
		{"empty type", `{"type":"","payload":{}}`, nil, 400, invalid, []string{"/type"}},
		{"unknown type", `{"type":"promoteUser","payload":{}}`, nil, 400, invalid, []string{"/type"}},
		{"type in another case", `{"type":"CreateUser","payload":{}}`, nil, 400, invalid, []string{"/type"}},
		{"type with white space", `{"type":"createUser ","payload":{}}`, nil, 400, invalid, []string{"/type"}},
		{"null payload", `{"type":"createUser","payload":null}`, nil, 400, invalid, []string{"/payload"}},
		{"payload as an array", `{"type":"createUser","payload":[]}`, nil, 400, invalid, []string{"/payload"}},
		{"payload as a string", `{"type":"createUser","payload":"{}"}`, nil, 400, invalid, []string{"/payload"}},
		{"empty payload", payload(""), nil, 400, invalid, []string{"/payload/id", "/payload/name"}},
		{"no name", payload(`"id":1`), nil, 400, invalid, []string{"/payload/name"}},
		{"nulls", payload(`"id":null,"name":null`), nil, 400, invalid, []string{"/payload/id", "/payload/name"}},
		{"wrong types", payload(`"id":true,"name":7`), nil, 400, invalid, []string{"/payload/id", "/payload/name"}},
		{"objects", payload(`"id":{},"name":[]`), nil, 400, invalid, []string{"/payload/id", "/payload/name"}},
		{"id with a fraction", payload(`"id":1.0,"name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"id with an exponent", payload(`"id":1e0,"name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"negative id", payload(`"id":-1,"name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"negative zero", payload(`"id":-0,"name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"id of 2^53", payload(`"id":9007199254740992,"name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"id of two dots", payload(`"id":"..","name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"empty id", payload(`"id":"","name":"A"`), nil, 400, invalid, []string{"/payload/id"}},
		{"empty name", payload(`"id":1,"name":"  "`), nil, 400, invalid, []string{"/payload/name"}},
		{"name with a control character", payload(`"id":1,"name":"A\u0000B"`), nil, 400, invalid, []string{"/payload/name"}},

		{"null command id", in(`"id":null`), nil, 400, invalid, []string{"/id"}},
		{"empty command id", in(`"id":""`), nil, 400, invalid, []string{"/id"}},
		{"number as the command id", in(`"id":7`), nil, 400, invalid, []string{"/id"}},
		{"command id with a slash", in(`"id":"a/b"`), nil, 400, invalid, []string{"/id"}},
		{"command id with a line feed", in(`"id":"a\n"`), nil, 400, invalid, []string{"/id"}},
		{"command id too long", in(`"id":"` + strings.Repeat("a", 129) + `"`), nil, 400, invalid, []string{"/id"}},
		{"two ids", in(`"id":"a"`), []string{"Idempotency-Key", "b"}, 400, invalid, []string{"/id"}},
		{"ids in another case", in(`"id":"a"`), []string{"Idempotency-Key", "A"}, 400, invalid, []string{"/id"}},
		{"key repeated", alice, []string{"Idempotency-Key", "a", "Idempotency-Key", "a"}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key empty", alice, []string{"Idempotency-Key", ""}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key quoted and empty", alice, []string{"Idempotency-Key", `""`}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key with one quote", alice, []string{"Idempotency-Key", `"`}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key with an open quote", alice, []string{"Idempotency-Key", `"a`}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key quoted twice", alice, []string{"Idempotency-Key", `""a""`}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key with parameters", alice, []string{"Idempotency-Key", `"a";b`}, 400, invalid, []string{"?Idempotency-Key"}},
		{"key too long", alice, []string{"Idempotency-Key", strings.Repeat("a", 129)}, 400, invalid, []string{"?Idempotency-Key"}},
		{"keys in a list", alice, []string{"Idempotency-Key", "a, b"}, 400, invalid, []string{"?Idempotency-Key"}},

		{"version null", in(`"expectedVersion":null`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"version as a string", in(`"expectedVersion":"1"`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"version with a fraction", in(`"expectedVersion":1.0`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"version with an exponent", in(`"expectedVersion":1e0`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"version negative", in(`"expectedVersion":-1`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"version negative zero", in(`"expectedVersion":-0`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"version of 2^53", in(`"expectedVersion":9007199254740992`), nil, 400, invalid, []string{"/expectedVersion"}},
		{"no time", in(`"notBefore":"tomorrow"`), nil, 400, invalid, []string{"/notBefore"}},
		{"an empty time", in(`"notBefore":""`), nil, 400, invalid, []string{"/notBefore"}},
		{"time null", in(`"notBefore":null`), nil, 400, invalid, []string{"/notBefore"}},
		{"time as a number", in(`"notBefore":1796148000`), nil, 400, invalid, []string{"/notBefore"}},
		{"a date", in(`"notBefore":"2026-12-24"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time without a zone", in(`"notBefore":"2026-12-24T18:00:00"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time with a space", in(`"notBefore":"2026-12-24 18:00:00Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time with a comma", in(`"notBefore":"2026-12-24T18:00:00,5Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time in lower case", in(`"notBefore":"2026-12-24t18:00:00z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time without seconds", in(`"notBefore":"2026-12-24T18:00Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time of another format", in(`"notBefore":"Thu, 24 Dec 2026 18:00:00 GMT"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time of no day", in(`"notBefore":"2026-02-30T18:00:00Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time of a wrong zone", in(`"notBefore":"2026-12-24T18:00:00+25:00"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time in more than ten years", in(`"notBefore":"2300-12-24T18:00:00Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time ten years ago", in(`"notBefore":"1969-12-31T23:59:59Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"the zero time", in(`"notBefore":"0001-01-01T00:00:00Z"`), nil, 400, invalid, []string{"/notBefore"}},
		{"time at a limit of the calendar", in(`"notBefore":"0000-01-01T00:00:00+01:00"`), nil, 400, invalid, []string{"/notBefore"}},
		{"cancel later", `{"type":"cancelScheduled","payload":{"stream":"user/1","commandId":"a"},"notBefore":"2026-12-24T18:00:00Z"}`, nil, 400, invalid, []string{"/notBefore"}},
		{"cancel nothing", `{"type":"cancelScheduled","payload":{}}`, nil, 400, invalid, []string{"/payload/stream", "/payload/commandId"}},
		{"cancel by type", `{"type":"cancelScheduled","payload":{"stream":"user/1","commandType":"renameUser"}}`, nil, 400, invalid, []string{"/payload/commandId", "/payload/commandType"}},
		{"cancel without a stream's name", `{"type":"cancelScheduled","payload":{"stream":"","commandId":"a"}}`, nil, 400, invalid, []string{"/payload/stream"}},
		{"cancel in no stream", `{"type":"cancelScheduled","payload":{"stream":"1","commandId":"a"}}`, nil, 400, invalid, []string{"/payload/stream"}},
		{"cancel in a stream of nobody", `{"type":"cancelScheduled","payload":{"stream":"nobody/1","commandId":"a"}}`, nil, 400, invalid, []string{"/payload/stream"}},
		{"cancel in a stream without an id", `{"type":"cancelScheduled","payload":{"stream":"user/","commandId":"a"}}`, nil, 400, invalid, []string{"/payload/stream"}},
		{"cancel a reaction's command", `{"type":"cancelScheduled","payload":{"stream":"user/1","commandId":"@pay:t:0:1:1"}}`, nil, 400, invalid, []string{"/payload/commandId"}},
		{"version true", in(`"expectedVersion":true`), nil, 400, invalid, []string{"/expectedVersion"}},

		{
			"all at once",
			`{"x":1,"expectedVersion":-1,"id":"","type":"createUser","payload":{"id":-1,"name":"","x":1}}`,
			[]string{"Idempotency-Key", "/"}, 400, invalid,
			[]string{"?Idempotency-Key", "/id", "/expectedVersion", "/x", "/payload/id", "/payload/name", "/payload/x"},
		},
		{
			"too much to name", `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1,"r":1,"s":1}`,
			nil, 400, invalid,
			[]string{"/type", "/payload", "/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h", "/i", "/j", "/k", "/l", "/m", "/n", "/o", "/p", "/q", "/r"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var bus capture
			got := ask(t, newGateway(bus.send), "/commands", test.body, test.headers...)
			if got.Status != test.status || got.Body.Type != test.problem {
				t.Errorf("got %d %v, want %d %s", got.Status, got.Body.Type, test.status, test.problem)
			}
			if got.Body.Title == "" || got.Body.Detail == "" || got.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("not a whole problem: %+v", got)
			}
			if diff := cmp.Diff(test.pointers, got.pointers()); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
			if len(bus) > 0 {
				t.Errorf("%d commands reached the bus", len(bus))
			}
		})
	}
}

func TestGatewayTakesNoQuery(t *testing.T) {
	for _, target := range []string{"/commands?wait=1", "/commands?", "/commands?%zz", "/commands?type=deleteUser&id=1"} {
		var bus capture
		got := ask(t, newGateway(bus.send), target, alice)
		if got.Status != 400 || got.Body.Type != "urn:millrace:problem:invalid-request" {
			t.Errorf("POST %s: %d %v", target, got.Status, got.Body.Type)
		}
		if len(bus) > 0 {
			t.Errorf("POST %s: reached the bus", target)
		}
	}
}

// Error texts name neither Go's types nor libraries.
func TestGatewayDetails(t *testing.T) {
	tests := []struct{ body, detail string }{
		{``, "ends before the JSON is complete"},
		{`[]`, "must be a JSON object"},
		{`{"type":"createUser"`, "ends before the JSON is complete"},
		{`{"type":nope}`, "is not JSON in UTF-8 (RFC 8259), at byte 9"},
		{`{"type":"a","type":"a"}`, "must not stand twice in its object"},
		{strings.Repeat("[", 33), "must not nest deeper than 32 levels"},
		{`{"payload":{}}`, "is required"},
		{`{"type":"promoteUser","payload":{}}`, "must be one of createUser, renameUser, deactivateUser, reactivateUser, deleteUser, changeEmail, cancelScheduled"},
		{`{"type":"deleteUser","payload":[]}`, "must be an object"},
		{`{"type":"deleteUser","payload":{"id":1,"name":"A"}}`, "is not known; known are id"},
		{`{"type":"deleteUser","payload":{"id":1},"Id":""}`, "is not known; known are type, payload, id, expectedVersion, notBefore"},
	}
	for _, test := range tests {
		var bus capture
		got := ask(t, newGateway(bus.send), "/commands", test.body)
		if len(got.Body.Errors) != 1 || got.Body.Errors[0].Detail != test.detail {
			t.Errorf("%s: %+v, want %q", test.body, got.Body.Errors, test.detail)
		}
	}
}
