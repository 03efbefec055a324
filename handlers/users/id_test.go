package users

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	tests := []struct {
		text string // as in a path
		json string // as in a body: "" for none
	}{
		{"0", `0`},
		{"1", `1`},
		{"10", `10`},
		{"9007199254740991", `9007199254740991`}, // 2^53-1
		{"9007199254740992", `"9007199254740992"`}, // 2^53
		{"10000000000000000", `"10000000000000000"`},
		{"18446744073709551617", `"18446744073709551617"`}, // 2^64+1
		{"00", `"00"`},
		{"01", `"01"`},
		{"+1", `"+1"`},
		{"-0", `"-0"`},
		{"-1", `"-1"`},
		{"1.0", `"1.0"`},
		{"1e3", `"1e3"`},
		{"1_0", `"1_0"`},
		{"0x1", `"0x1"`},
		{" 1", `" 1"`},
		{"1 ", `"1 "`},
		{"١", `"١"`}, // an Arabic digit
		{"null", `"null"`},
		{"true", `"true"`},
		{"a", `"a"`},
		{"A", `"A"`},
		{" ", `" "`},
		{"...", `"..."`},
		{"Stats", `"Stats"`},
		{"stats", `"stats"`},
		{"changes", `"changes"`},
		{"a/b?c#d%20", `"a/b?c#d%20"`},
		{"\"\\", `"\"\\"`},
		{"<a&b>", `"<a&b>"`},
		{"é", `"é"`},
		{"e\u0301", "\"e\u0301\""}, // the same to the eye, another user
		{"😀", `"😀"`},
		{"a\u2028b", `"a\u2028b"`},
		{"\ufffd", "\"\ufffd\""},
		{strings.Repeat("a", 128), `"` + strings.Repeat("a", 128) + `"`},
		{strings.Repeat("😀", 128), `"` + strings.Repeat("😀", 128) + `"`},
		{strings.Repeat("1", 128), `"` + strings.Repeat("1", 128) + `"`},

		{"", ""},
		{".", ""},
		{"..", ""},
		{strings.Repeat("a", 129), ""},
		{strings.Repeat("é", 129), ""},
		{strings.Repeat("1", 129), ""},
		{"a\x00b", ""},
		{"\n", ""},
		{"a\tb", ""},
		{"\x1f", ""},
		{"\x7f", ""},
		{"\u0085", ""},
		{"\u009f", ""},
		{"a\xff", ""},
		{"\xed\xa0\x80", ""},
	}
	for _, test := range tests {
		t.Run(test.text, func(t *testing.T) {
			id, err := ParseID(test.text)
			if test.json == "" {
				if !errors.Is(err, ErrID) || id != "" {
					t.Fatalf("got %q, %v, want ErrID", id, err)
				}
				return
			}
			if err != nil || string(id) != test.text {
				t.Fatalf("got %q, %v", id, err)
			}
			if got := encode(t, id); got != test.json {
				t.Errorf("written as %s, want %s", got, test.json)
			}
			if number, ok := id.Number(); ok != (test.json[0] != '"') || (!ok && number != 0) {
				t.Errorf("number %d, %v", number, ok)
			}
			asString, _ := json.Marshal(test.text)
			for _, body := range []string{test.json, string(asString)} {
				var back ID
				if err := json.Unmarshal([]byte(body), &back); err != nil || back != id {
					t.Errorf("%s read as %q, %v", body, back, err)
				}
			}
		})
	}
}

func TestIDFromJSON(t *testing.T) {
	for body, want := range map[string]ID{
		`"\u0031"`: "1", `"\ud83d\ude00"`: "😀", `"1"`: "1", `1`: "1", `"\/"`: "/", `"\u003c"`: "<", `"stats"`: "stats", `"changes"`: "changes",
	} {
		var id ID
		if err := json.Unmarshal([]byte(body), &id); err != nil || id != want {
			t.Errorf("%s: got %q, %v, want %q", body, id, err, want)
		}
	}
	for _, body := range []string{
		`1.0`, `1e0`, `1E3`, `-0`, `-1`, `0.1`, `9007199254740992`, `99999999999999999999`, `1e400`,
		`null`, `true`, `{}`, `[]`, `[1]`, `""`, `"."`, `".."`, `"\u002e."`, `"\u0000"`, `"\n"`,
	} {
		id := ID("before")
		if err := json.Unmarshal([]byte(body), &id); !errors.Is(err, ErrID) || id != "before" {
			t.Errorf("%s: got %q, %v, want ErrID", body, id, err)
		}
	}
}

// Integers first in order, then strings bytewise.
func TestSortKey(t *testing.T) {
	ordered := []ID{
		"0", "1", "2", "9", "10", "11", "99", "100", "4294967296", "999999999999999", "1000000000000000", "9007199254740990", "9007199254740991",
		" ", "+1", "-1", "00", "01", "1.0", "10000000000000000", "9007199254740992", "A", "Z", "a", "aa", "ab", "b", "é", "日", "\ufffd", "😀",
	}
	sorted := slices.Clone(ordered)
	slices.Reverse(sorted)
	slices.SortFunc(sorted, func(a, b ID) int { return strings.Compare(a.SortKey(), b.SortKey()) })
	if !slices.Equal(sorted, ordered) {
		t.Errorf("got  %q\nwant %q", sorted, ordered)
	}
	for i, id := range ordered[1:] {
		if ordered[i].SortKey() >= id.SortKey() {
			t.Errorf("%q does not sort before %q", ordered[i], id)
		}
	}
}
