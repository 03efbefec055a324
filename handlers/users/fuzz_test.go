package users

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// An id has the same text in a path and in JSON.
func FuzzID(f *testing.F) {
	for _, seed := range []string{"1", "01", "9007199254740991", "9007199254740992", "stats", ".", "a/b", "\u2028", "\xff", "-0", "1e3", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, err := ParseID(text)
		if err != nil {
			return
		}
		data, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		var again ID
		if err := json.Unmarshal(data, &again); err != nil || again != id || string(id) != text {
			t.Errorf("%q is %s, which is %q, %v", text, data, again, err)
		}
		if _, number := id.Number(); number == (data[0] == '"') {
			t.Errorf("%q is written as %s", text, data)
		}
	})
}

// No event's body makes a fold panic. Bodies are read as encoding/json reads
// bodies, and a decoded event is the same after another encoding and decoding.
func FuzzDecodeEvent(f *testing.F) {
	names := Aggregate.EventTypes()
	for i := range names {
		f.Add(uint8(i), []byte(`{"id":1,"name":"Alice","more":[{}]}`))
		f.Add(uint8(i), []byte(`{"id":"a b","ID":2,"name":" Z\u00e9 ","Name":null}`))
	}
	f.Add(uint8(0), []byte(`null`))
	f.Add(uint8(1), []byte(`{"id":0}`)) // without a name
	f.Add(uint8(1), []byte(`{"id":{},"name":"\ud800"}`))
	for _, body := range []string{
		`{"id":1,"name":"Alice"}`, `{"id":"a b","name":" <Z> "}`, `{"id":01,"name":"A"}`, `{"id":"1","name":2}`, `{"id":"stats","name":"A"}`,
		`{"id":1,"name":"Alice"} `, `{"id":1,"name":"A\tB"}`, `{"id":1,"name":"A"},`, `{"id":1}`, `{"id":"",`, `{"id":9007199254740992,"name":"A"}`,
		`{"id":1,"name":"é"}`, `{"id":1,"name":"A","name":"B"}`, `{"id":1,"name":" "}`, "{\"id\":\"\x7f\",\"name\":\"A\nB\"}",
	} {
		f.Add(uint8(1), []byte(body))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		eventType := names[int(which)%len(names)]
		event, err := Aggregate.DecodeEvent(eventType, body)
		plain := Aggregate.NewEvent(eventType)
		if wrong := json.Unmarshal(body, plain); (wrong == nil && !lacks(body, plain)) != (err == nil) {
			t.Errorf("%s: %v, and encoding/json says %v", body, err, wrong)
		}
		if err != nil {
			return
		}
		if !reflect.DeepEqual(event, plain) {
			t.Errorf("%s is %+v, and encoding/json makes %+v of the body", body, event, plain)
		}
		if event.Type() != eventType || event.AggregateID() == "" || !utf8.ValidString(event.AggregateID()) {
			t.Errorf("%s is a %s of %q", body, event.Type(), event.AggregateID())
		}
		if err := Aggregate.SurvivesEncoding(Aggregate.Apply(nil, event)); err != nil {
			t.Error(err)
		}
		first, err := Aggregate.EncodeEvent(event)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Aggregate.DecodeEvent(eventType, first)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", body, first, err)
		}
		if second, err := Aggregate.EncodeEvent(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is written as %s, and then as %s, %v", body, first, second, err)
		}
	})
}

// lacks says whether a body lacks a member of the event. The members of users'
// events are non-empty texts, and have the names of the fields.
func lacks(body []byte, event any) bool {
	var members map[string]any
	if json.Unmarshal(body, &members) != nil {
		return true
	}
	fields := reflect.TypeOf(event).Elem()
	for i := range fields.NumField() {
		if members[strings.ToLower(fields.Field(i).Name)] == nil {
			return true
		}
	}
	return false
}
