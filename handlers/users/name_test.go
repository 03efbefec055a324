package users

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	tests := []struct {
		text string
		want Name // "" for ErrName
	}{
		{"Alice", "Alice"},
		{"  Alice  ", "Alice"},
		{"\t\r\nAlice\v\f\u0085\u00a0\u2003\u3000", "Alice"},
		{"Alice  Ann", "Alice  Ann"},
		{"1", "1"},
		{"null", "null"},
		{"<b>&\"'\\", "<b>&\"'\\"},
		{"Zoë", "Zoë"},
		{"李小龍", "李小龍"},
		{"👩‍👩‍👧", "👩‍👩‍👧"},
		{"\u200b", "\u200b"}, // no white space to Unicode
		{"A\u2028B", "A\u2028B"},
		{strings.Repeat("a", 200), Name(strings.Repeat("a", 200))},
		{strings.Repeat("😀", 200), Name(strings.Repeat("😀", 200))},
		{" " + strings.Repeat("a", 200) + "\n", Name(strings.Repeat("a", 200))},

		{"", ""},
		{" ", ""},
		{"\t\r\n\u00a0\u3000", ""},
		{strings.Repeat("a", 201), ""},
		{strings.Repeat("é", 201), ""},
		{"A\nB", ""},
		{"A\tB", ""},
		{"A\x00", ""},
		{"\x00A", ""},
		{"\x1b[31mA", ""},
		{"A\x7f", ""},
		{"A\u0085B", ""},
		{"A\u009f", ""},
		{"A\xff", ""},
		{"\xed\xa0\x80", ""},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			got, err := ParseName(test.text)
			if got != test.want || errors.Is(err, ErrName) != (test.want == "") {
				t.Fatalf("got %q, %v, want %q", got, err, test.want)
			}
			if err != nil {
				return
			}
			if again, err := ParseName(string(got)); again != got || err != nil {
				t.Errorf("trimmed again: %q, %v", again, err)
			}
			body, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var back Name
			if err := json.Unmarshal(body, &back); err != nil || back != got {
				t.Errorf("%s read as %q, %v", body, back, err)
			}
		})
	}
}

func TestNameFromJSON(t *testing.T) {
	var name Name
	if err := json.Unmarshal([]byte(`" \u0041lice\n"`), &name); err != nil || name != "Alice" {
		t.Errorf("got %q, %v", name, err)
	}
	for _, body := range []string{`null`, `1`, `true`, `{}`, `["Alice"]`, `""`, `" "`, `"A\nB"`, `"A\u0000"`} {
		name := Name("before")
		if err := json.Unmarshal([]byte(body), &name); !errors.Is(err, ErrName) || name != "before" {
			t.Errorf("%s: got %q, %v, want ErrName", body, name, err)
		}
	}
}
