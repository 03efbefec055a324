package users

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"
)

// An id that is taken is the same in a path and in JSON.
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

// No event's body stops a fold by a panic; what is read is written, and read
// again, as the same. Bodies as they are written are read as encoding/json does.
func FuzzDecodeEvent(f *testing.F) {
	for i, create := range Events {
		f.Add(uint8(i), []byte(`{"id":1,"name":"Alice","more":[{}]}`))
		f.Add(uint8(i), []byte(`{"id":"a b","ID":2,"name":" Z\u00e9 ","Name":null}`))
		if create().Type() == "" {
			f.Fatal("an event has no type")
		}
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
		eventType := Events[int(which)%len(Events)]().Type()
		event, err := DecodeEvent(eventType, body)
		plain := Events[int(which)%len(Events)]()
		if wrong := json.Unmarshal(body, plain); (wrong == nil && missingText(plain) == "") != (err == nil) {
			t.Errorf("%s: %v, and encoding/json says %v", body, err, wrong)
		}
		if err != nil {
			return
		}
		if !reflect.DeepEqual(event, plain) {
			t.Errorf("%s is %+v, and encoding/json makes %+v of it", body, event, plain)
		}
		if event.Type() != eventType || event.Stream() == "" || !utf8.ValidString(event.Stream()) {
			t.Errorf("%s is a %s of %q", body, event.Type(), event.Stream())
		}
		event.Apply(User{})
		first, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeEvent(eventType, first)
		if err != nil {
			t.Fatalf("%s is written as %s: %v", body, first, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is written as %s, and then as %s, %v", body, first, second, err)
		}
	})
}
