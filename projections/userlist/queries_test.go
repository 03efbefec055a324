package userlist

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/millrace/millrace/handlers/users"
)

func TestPrefixEnd(t *testing.T) {
	const last = "\U0010FFFF"
	for prefix, want := range map[string]string{
		"A":            "B",
		"Al":           "Am",
		"~":            "\x7f",
		"\x7f":         "\u0080",
		"ß":            "à",
		"\u07ff":       "\u0800",
		"\ud7ff":       "\ue000",
		"\uffff":       "\U00010000",
		"a" + last:     "b",
		last:           "",
		last + last:    "",
		"ab" + last:    "ac",
		"%_":           "%`",
		"日本":           "日札",
		"😀":            "😁",
		"a" + "\u0301": "a\u0302",
	} {
		if got := prefixEnd(prefix); got != want {
			t.Errorf("prefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
}

// FuzzPrefixEnd checks that the range from the prefix to the end has exactly the
// names with the prefix.
func FuzzPrefixEnd(f *testing.F) {
	for _, prefix := range []string{"Al", "\ud7ff", "\U0010FFFF", "a\U0010FFFF", "ß", "%"} {
		f.Add(prefix, prefix+"z")
		f.Add(prefix, prefix+"\U0010FFFF\U0010FFFF")
		f.Add(prefix, prefixEnd(prefix))
		f.Add(prefix, "m")
	}
	f.Fuzz(func(t *testing.T, prefix, name string) {
		if !isPrefix(prefix) || strings.ToValidUTF8(name, "") != name {
			return
		}
		end := prefixEnd(prefix)
		if strings.ToValidUTF8(end, "") != end {
			t.Fatalf("the end of %q is %q: not UTF-8", prefix, end)
		}
		in := name >= prefix && (end == "" || name < end)
		if in != strings.HasPrefix(name, prefix) {
			t.Errorf("%q from %q to %q: %t", name, prefix, end, in)
		}
	})
}

// Clients keep cursors over upgrades: the bytes never change.
func TestCursors(t *testing.T) {
	for token, id := range map[string]users.ID{"ATE": "1", "ATAx": "01", "AcOkL2I": "ä/b"} {
		if got := encodeCursor(id); got != token {
			t.Errorf("encodeCursor(%q) = %s, want %s", id, got, token)
		}
		if got, err := parseCursor(token); got != id || err != nil {
			t.Errorf("parseCursor(%s) = %q, %v, want %q", token, got, err, id)
		}
	}
}

func TestParseCursorRefuses(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	for name, token := range map[string]string{
		"nothing":         "",
		"no id":           encode([]byte("\x01")),
		"another version": encode([]byte("\x021")),
		"not base64":      "!!",
		"padding":         "ATE=",
		"loose bits":      "ATF",
		"a line break":    "AT\nE",
		"no user's id":    encode([]byte("\x01.")),
		"a control":       encode([]byte("\x01a\x00b")),
		"not UTF-8":       encode([]byte("\x01\xff")),
		"too long":        encode([]byte("\x01" + strings.Repeat("x", 129))),
	} {
		if id, err := parseCursor(token); err == nil {
			t.Errorf("%s: parseCursor(%q) = %q, want an error", name, token, id)
		}
	}
}
