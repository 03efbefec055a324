package query_test

import (
	"encoding/base64"
	"errors"
	"testing"

	"github.com/millrace/millrace/router/query"
)

// Clients keep cursors over upgrades: the bytes never change.
func TestCursors(t *testing.T) {
	for key, cursor := range map[string]string{"": "AQ", "1": "ATE", "a b": "AWEgYg", "ärger/1": "AcOkcmdlci8x"} {
		if got := query.EncodeCursor(key); got != cursor {
			t.Errorf("EncodeCursor(%q) = %s, want %s", key, got, cursor)
		}
		if got, err := query.DecodeCursor(cursor); got != key || err != nil {
			t.Errorf("DecodeCursor(%s) = %q, %v, want %q", cursor, got, err, key)
		}
	}
	encode := base64.RawURLEncoding.EncodeToString
	for _, cursor := range []string{"", "!!", "ATE=", "AT\nE", "ATF", encode([]byte("\x021")), encode([]byte("1"))} {
		if key, err := query.DecodeCursor(cursor); !errors.Is(err, query.ErrCursor) {
			t.Errorf("DecodeCursor(%q) = %q, %v, want an error", cursor, key, err)
		}
	}
}

func FuzzDecodeCursor(f *testing.F) {
	for _, seed := range []string{query.EncodeCursor("1"), query.EncodeCursor("a b"), "", "AQ", "AQ==", "_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if key, err := query.DecodeCursor(cursor); err == nil && query.EncodeCursor(key) != cursor {
			t.Errorf("%q is taken for %q, which is %q", cursor, key, query.EncodeCursor(key))
		}
	})
}
