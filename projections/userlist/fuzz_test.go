package userlist

import (
	"net/url"
	"testing"
	"unicode/utf8"
)

// A page has one cursor.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{encodeCursor("1"), encodeCursor("a b"), encodeCursor("stats"), "", "AQ", "AQ==", "_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := parseCursor(text); err == nil && encodeCursor(id) != text {
			t.Errorf("%q is taken for %q, which is %q", text, id, encodeCursor(id))
		}
	})
}

// Every store can compare with the values that a filter takes.
func FuzzParseFilter(f *testing.F) {
	f.Add("10", encodeCursor("1"), "Al", "true")
	f.Add("0", "x", "", "TRUE")
	f.Add("+1", "", "\x00", "1")
	f.Add("1000", encodeCursor("a"), "\xff", "false")
	f.Fuzz(func(t *testing.T, limit, after, name, active string) {
		filter, wrong := parseFilter(url.Values{"limit": {limit}, "after": {after}, "name": {name}, "active": {active}})
		if len(wrong) > 0 {
			return
		}
		if filter.limit < 1 || filter.limit > 1000 || filter.after == "" || filter.prefix != name ||
			!utf8.ValidString(name) || *filter.active != (active == "true") {
			t.Errorf("%q %q %q %q is taken for %+v", limit, after, name, active, filter)
		}
	})
}
