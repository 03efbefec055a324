package strict

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

// A command to come may have members of the plain types.
func TestDecodeMembersOfPlainTypes(t *testing.T) {
	type plain struct {
		Text   string          `json:"text"`
		Flag   bool            `json:"flag"`
		Count  uint8           `json:"count"`
		List   []string        `json:"list"`
		Nested struct{ A int } `json:"nested"`
		Maybe  *string         `json:"maybe"`
	}
	at := func(member, detail string) FieldError {
		return FieldError{Pointer: "/payload/" + member, Detail: detail}
	}
	tests := []struct {
		name, text, flag, count, list, nested string
		want                                  []FieldError
	}{
		{"right", `"a"`, `true`, `255`, `["a"]`, `{"A":1}`, nil},
		{"null", `null`, `null`, `null`, `null`, `null`, []FieldError{
			at("text", "must be a string"), at("flag", "must be true or false"),
			at("count", "must be a number that fits here"), at("list", "must be an array"), at("nested", "must be an object"),
		}},
		{"of wrong types", `1`, `"true"`, `256`, `{}`, `[]`, []FieldError{
			at("text", "must be a string"), at("flag", "must be true or false"),
			at("count", "must be a number that fits here"), at("list", "must be an array"), at("nested", "must be an object"),
		}},
		{"unknown within", `""`, `false`, `0`, `[]`, `{"a":1}`, []FieldError{
			at("nested/A", "is required"), at("nested/a", "is not known; known are A"),
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			given := []member{
				{"text", jsontext.Value(test.text)}, {"flag", jsontext.Value(test.flag)}, {"count", jsontext.Value(test.count)},
				{"list", jsontext.Value(test.list)}, {"nested", jsontext.Value(test.nested)},
			}
			if diff := cmp.Diff(test.want, Object(given).Into("/payload", new(plain))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A value is read in the form in which encoding/json writes the value.
func TestDecodeMembersAsWritten(t *testing.T) {
	type special struct {
		Wait  time.Duration     `json:"wait"`
		Key   [2]byte           `json:"key"`
		Bytes []byte            `json:"bytes"`
		At    time.Time         `json:"at"`
		Any   json.RawMessage   `json:"any"`
		Texts map[string]string `json:"texts"`
	}
	want := special{
		Wait: time.Minute, Key: [2]byte{1, 2}, Bytes: []byte{3}, At: time.UnixMilli(4).UTC(),
		Any: json.RawMessage("null"), Texts: map[string]string{"a": "\u2028"},
	}
	body, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	given, ok := membersOf(body)
	if !ok {
		t.Fatalf("not an object: %s", body)
	}
	var got special
	if wrong := Object(given).Into("", &got); wrong != nil {
		t.Fatalf("%s is refused: %v", body, wrong)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-written +read):\n%s", body, diff)
	}
}
