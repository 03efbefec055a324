package eventlog

import "testing"

func TestBounded(t *testing.T) {
	for text, want := range map[string]string{
		"":                     "",
		"abcd":                 "abcd",
		"abcde":                "abcd... (5 bytes)",
		"abcé":                 "abc... (5 bytes)",
		"é\x80\x80\x80\x80":    "... (6 bytes)",
		"\x80\x80\x80\x80\x80": "... (5 bytes)",
	} {
		if got := Bounded(text, 4); got != want {
			t.Errorf("Bounded(%q) = %q, want %q", text, got, want)
		}
	}
}
