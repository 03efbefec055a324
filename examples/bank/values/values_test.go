package values

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestID(t *testing.T) {
	for given, want := range map[string]ID{
		`"alice"`: "alice", `"rent-2026-12"`: "rent-2026-12", `"` + strings.Repeat("a", 64) + `"`: ID(strings.Repeat("a", 64)),
		`""`: "", `"-a"`: "", `"a--b"`: "", `"Alice"`: "", `"a/b"`: "", `"` + strings.Repeat("a", 65) + `"`: "", `7`: "", `null`: "",
	} {
		read(t, given, want)
	}
}

func TestAmount(t *testing.T) {
	for given, want := range map[string]Amount{
		`1`: 1, `1000000000000`: 1_000_000_000_000,
		`0`: 0, `-1`: 0, `1000000000001`: 0, `1.5`: 0, `"1"`: 0, `null`: 0, `9223372036854775808`: 0,
	} {
		read(t, given, want)
	}
}

func TestNumber(t *testing.T) {
	for given, want := range map[string]Number{
		`"DE02 1203 0000 0000 2020 51"`: "DE02120300000000202051", `"de021203"`: "DE021203", `" 1234 5678 "`: "12345678",
		`"1234567"`: "", `"` + strings.Repeat("1", 35) + `"`: "", `"DE02-1203"`: "", `"ÄÄÄÄÄÄÄÄ"`: "", `12345678`: "", `null`: "",
	} {
		read(t, given, want)
	}
}

// read checks that a value is read as wanted, or refused if the zero value is
// wanted.
func read[T comparable](t *testing.T, given string, want T) {
	t.Helper()
	var got, none T
	if err := json.Unmarshal([]byte(given), &got); got != want || (err == nil) != (want != none) {
		t.Errorf("%s: %v, %v", given, got, err)
	}
}
