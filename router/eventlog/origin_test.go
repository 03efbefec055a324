package eventlog

import (
	"math"
	"slices"
	"testing"
)

func TestParseCause(t *testing.T) {
	for text, want := range map[string]Cause{
		"t/0/0/1": {"t", 0, 0, 1},
		"t/2147483647/9223372036854775807/2147483647": {"t", math.MaxInt32, math.MaxInt64, math.MaxInt32},
	} {
		if got, err := ParseCause(text); got != want || err != nil || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{
		"", "t", "t/0/0", "t/0/0/0", "t/0/0/1/", "/0/0/1", "t/00/0/1", "t/0/ 0/1", "t/0/0/+1", "t/-1/0/1",
		"t/2147483648/0/1", "t/0/9223372036854775808/1", "t/0/0/2147483648",
	} {
		if c, err := ParseCause(bad); err == nil {
			t.Errorf("%q: read as %v", bad, c)
		}
	}
}

// Numbers are compared as numbers.
func TestCauseCompare(t *testing.T) {
	sorted := []Cause{{"a", 3, 9, 9}, {"b", 1, 2, 3}, {"b", 1, 2, 10}, {"b", 1, 10, 1}, {"b", 2, 0, 1}, {"b", 10, 0, 1}}
	for i := range sorted {
		for j := range sorted {
			if got, want := sorted[i].Compare(sorted[j]) < 0, i < j; got != want {
				t.Errorf("%v before %v: %v", sorted[i], sorted[j], got)
			}
		}
	}
}

// A cause has exactly one text.
func FuzzParseCause(f *testing.F) {
	f.Add("q2Hn6X9yTkOYw1mVbZ0aLg/3/1207/1")
	f.Add("t/0/0/01")
	f.Fuzz(func(t *testing.T, text string) {
		if cause, err := ParseCause(text); err == nil && cause.String() != text {
			t.Errorf("%q is taken for %v", text, cause)
		}
	})
}

// The record of a client's command has the digest of earlier releases: without an
// origin and claims there is no header more.
func TestNoOriginNoHeader(t *testing.T) {
	r := sealed(Head{}, "userCreated", "{}")
	if n := len(r.Headers()); n != 13 {
		t.Errorf("%d headers", n)
	}
	r.Origin, r.Asks, r.Releases = &Origin{Open: []string{"a/b"}}, []string{"unique/a/b"}, []string{"unique/a/c"}
	for _, key := range []string{HeaderReaction, HeaderCause, HeaderCauseSubject, HeaderDepth, HeaderOpen, HeaderAsks, HeaderReleases} {
		if !slices.ContainsFunc(r.Headers(), func(h Header) bool { return h.Key == key }) {
			t.Errorf("no %s", key)
		}
	}
}
