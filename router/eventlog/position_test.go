package eventlog

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Clients keep tokens over upgrades, so tokens never change.
func TestPositionTokens(t *testing.T) {
	for token, position := range map[string]Position{
		"AQ":                       {},
		"AQAB":                     {0: 1},
		"AQUq":                     {5: 42},
		"AQABAawCAgM":              {0: 1, 1: 300, 2: 3},
		"AQCAgICAgICAgAEBgICAgIAI": {0: 1 << 56, 1: 1 << 38},
		"Af____8H__________9_":     {math.MaxInt32: math.MaxInt64},
	} {
		if got := EncodePosition(position); got != token {
			t.Errorf("EncodePosition(%v) = %s, want %s", position, got, token)
		}
		got, err := ParsePosition(token)
		if err != nil {
			t.Errorf("ParsePosition(%s): %v", token, err)
		}
		if diff := cmp.Diff(position, got); diff != "" {
			t.Errorf("ParsePosition(%s) (-want +got):\n%s", token, diff)
		}
	}
}

func TestParsePositionRefuses(t *testing.T) {
	for name, token := range map[string]string{
		"nothing":                "",
		"no version":             "AA",
		"another version":        "AgAB",
		"not base64":             "AQ!B",
		"standard base64":        "Af////8H//////////9/",
		"padding":                "AQ==",
		"loose bits":             "AR",
		"a line break":           "AQ\nAB",
		"white space":            " AQAB",
		"no offset":              "AQA",
		"offset 0":               "AQAA",
		"cut in an offset":       "AQCs",
		"long varint":            "AQCBAA",
		"partition twice":        "AQABAAI",
		"partitions unordered":   "AQEBAAE",
		"partition over 2^31-1":  "AYCAgIAIAQ",
		"partition of 64 bits":   "Af___________wEB",
		"offset over 2^63-1":     "AQCAgICAgICAgIAB",
		"varint over 64 bits":    "AQD___________8C",
		"a long run of nonsense": strings.Repeat("_", 1000),
	} {
		if position, err := ParsePosition(token); err == nil {
			t.Errorf("%s: ParsePosition(%q) = %v, want an error", name, token, position)
		}
	}
}

func TestPositionCovers(t *testing.T) {
	read := Position{0: 10, 1: 5}
	for _, test := range []struct {
		name  string
		other Position
		want  bool
	}{
		{"nothing", Position{}, true},
		{"itself", read, true},
		{"one record before", Position{1: 5}, true},
		{"one record not yet in", Position{1: 6}, false},
		{"one partition ahead, one behind", Position{0: 1, 1: 6}, false},
		{"a partition without an entry", Position{2: 1}, false},
		{"a partition at 0", Position{2: 0}, true},
	} {
		if got := read.Covers(test.other); got != test.want {
			t.Errorf("%s: %v.Covers(%v) = %t", test.name, read, test.other, got)
		}
	}
}

func FuzzParsePosition(f *testing.F) {
	for _, token := range []string{"", "AQ", "AQAB", "AQABAawCAgM", "AQCBAA", "AQABAAI", "Af___________wEB", "Af____8H__________9_"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		position, err := ParsePosition(token)
		if err != nil {
			return
		}
		if got := EncodePosition(position); got != token {
			t.Errorf("%q was taken for %v, which is %q", token, position, got)
		}
		for partition, next := range position {
			if partition < 0 || next <= 0 {
				t.Errorf("%q: partition %d at %d", token, partition, next)
			}
		}
	})
}

// Tokens of commands never change either.
func TestSentCommandTokens(t *testing.T) {
	for token, c := range map[string]SentCommand{
		"AgAAAXQBMQFj": {"1", "c", CommandPlace{0, CommandPosition{"t", 0}}},
		"AgWsAhZxMkhuNlg5eVRrT1l3MW1WYlowYUxnBHrDvCcEYy1fOg": {"zü'", "c-_:", CommandPlace{5, CommandPosition{"q2Hn6X9yTkOYw1mVbZ0aLg", 300}}},
		"Av____8H__________9_AXQBMQFj":                       {"1", "c", CommandPlace{math.MaxInt32, CommandPosition{"t", math.MaxInt64}}},
	} {
		if got := EncodeSentCommand(c); got != token {
			t.Errorf("EncodeSentCommand(%v) = %s, want %s", c, got, token)
		}
		got, err := ParseAwaited(token)
		if err != nil {
			t.Errorf("ParseAwaited(%s): %v", token, err)
		}
		if diff := cmp.Diff(Awaited{Command: &c}, got); diff != "" {
			t.Errorf("ParseAwaited(%s) (-want +got):\n%s", token, diff)
		}
	}
	if got, err := ParseAwaited("AQUq"); err != nil || got.Position[5] != 42 {
		t.Errorf("a position is read as %v, %v", got, err)
	}
}

func TestParseAwaitedRefuses(t *testing.T) {
	for name, token := range map[string]string{
		"nothing":               "",
		"another version":       "AwAAAXQBMQFj",
		"cut":                   "AgAAAXQBMQ",
		"no stream":             "AgAAAXQAAWM",
		"more behind":           "AgAAAXQBMQFjAA",
		"a length over the end": "AgAAAXQBMQlj",
		"long varint":           "AoAAAAF0ATEBYw",
		"not UTF-8":             "AgAAAXQB_wFj",
		"partition over 2^31-1": "AoCAgIAIAAF0ATEBYw",
	} {
		if got, err := ParseAwaited(token); err == nil {
			t.Errorf("%s: ParseAwaited(%q) = %v, want an error", name, token, got)
		}
	}
}

func FuzzParseAwaited(f *testing.F) {
	for _, token := range []string{"", "AQAB", "AgAAAXQBMQFj", "AgWsAhZxMkhuNlg5eVRrT1l3MW1WYlowYUxnBHrDvCcEYy1fOg", "AgAAAXQBMQlj"} {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		awaited, err := ParseAwaited(token)
		if err != nil || awaited.Command == nil {
			return
		}
		if got := EncodeSentCommand(*awaited.Command); got != token {
			t.Errorf("%q was taken for %v, which is %q", token, awaited.Command, got)
		}
	})
}

func TestPositionMax(t *testing.T) {
	got := Position{0: 1, 1: 5}.Max(Position{1: 3, 2: 4})
	if diff := cmp.Diff(Position{0: 1, 1: 5, 2: 4}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A command's position has exactly one text.
func FuzzParseCommandPosition(f *testing.F) {
	for _, seed := range []string{"q2Hn6X9yTkOYw1mVbZ0aLg/0", "a/b/1", "/1", "a/01", "a/+1", "a/9223372036854775808", "a/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if position, err := ParseCommandPosition(text); err == nil && (position.String() != text || position.Offset < 0) {
			t.Errorf("%q is taken for %s", text, position)
		}
	})
}
