package eventlog

import (
	"strings"
	"testing"
)

// The canonical form never changes, because records name digests for ever.
// Another program computed the literals.
func TestDigest(t *testing.T) {
	headers := func() []Header {
		return []Header{{"ce_b", "2"}, {"content-type", "x"}, {"ce_a", "1"}, {"traceparent", "y"}}
	}
	want := "2c2374b1fe6234cde5f6c9e21776e3202f84e2fe02faa8b1f8768793af09f6a6"
	if got := digestOf(headers(), []byte("body")).String(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := digestOf(nil, nil).String(), "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc"; got != want {
		t.Errorf("of nothing: got %s, want %s", got, want)
	}
	for name, same := range map[string][]Header{
		"in another order":      {{"ce_a", "1"}, {"ce_b", "2"}},
		"with other headers":    {{"ce_b", "2"}, {"ce_a", "1"}, {"CE_a", "3"}, {"c", ""}},
		"without other headers": {{"ce_b", "2"}, {"ce_a", "1"}},
	} {
		if got := digestOf(same, []byte("body")).String(); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
	for name, other := range map[string]struct {
		headers []Header
		body    string
	}{
		"another value":                {[]Header{{"ce_a", "1"}, {"ce_b", "3"}}, "body"},
		"another key":                  {[]Header{{"ce_a", "1"}, {"ce_c", "2"}}, "body"},
		"values swapped":               {[]Header{{"ce_a", "2"}, {"ce_b", "1"}}, "body"},
		"a header less":                {[]Header{{"ce_a", "1"}}, "body"},
		"an empty header more":         {[]Header{{"ce_a", "1"}, {"ce_b", "2"}, {"ce_", ""}}, "body"},
		"a value that ate its key":     {[]Header{{"ce_a1", ""}, {"ce_b", "2"}}, "body"},
		"another body":                 {[]Header{{"ce_a", "1"}, {"ce_b", "2"}}, "bodY"},
		"no body":                      {[]Header{{"ce_a", "1"}, {"ce_b", "2"}}, ""},
		"a body that ate the header":   {[]Header{{"ce_a", "1"}}, "ce_b2body"},
		"a header that ate the length": {[]Header{{"ce_a", "1"}, {"ce_b", "2\x00\x00\x00\x04body"}}, ""},
	} {
		if got := digestOf(other.headers, []byte(other.body)).String(); got == want {
			t.Errorf("%s: the same digest", name)
		}
	}
}

func TestParseDigest(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 4)
	if d, err := ParseDigest(text); err != nil || d.String() != text {
		t.Errorf("got %s, %v", d, err)
	}
	for _, bad := range []string{"", "00", text[1:], text + "0", strings.ToUpper(text), " " + text[1:], "0x" + text[2:], "g" + text[1:], "é" + text[2:]} {
		if d, err := ParseDigest(bad); err == nil {
			t.Errorf("%q: read as %s", bad, d)
		}
	}
}

// A digest has exactly one text.
func FuzzParseDigest(f *testing.F) {
	f.Add(Digest{}.String())
	f.Add("f65840f2c4e7eeea74fedf3acc619dd93f34bacfe30521858d998833bdea214E")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if digest, err := ParseDigest(text); err == nil && digest.String() != text {
			t.Errorf("%q is taken for %s", text, digest)
		}
	})
}
