package history

import (
	"net/http"
	"strings"
	"testing"

	"github.com/millrace/millrace/router/eventlog"
)

// A page has one cursor.
func FuzzParseCursor(f *testing.F) {
	for _, seed := range []string{encodeCursor(1), encodeCursor(1<<63 - 1), encodeCursor(0), "", "AQ", "AQ==", "_"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if version, err := parseCursor(text); err == nil && (version < 1 || encodeCursor(version) != text) {
			t.Errorf("%q is taken for %d, which is %q", text, version, encodeCursor(version))
		}
	})
}

// A client continues at the given id, if the id is well-formed and given once.
func FuzzLastEventID(f *testing.F) {
	for _, seed := range []string{"AQAB", "AQABAawCAgM", "AgAAAXQBMQFj", "", "AQAB\nAQAB", "42"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, fields string) {
		from, err := lastEventID(http.Header{http.CanonicalHeaderKey(headerLastEventID): strings.Split(fields, "\n")})
		if (from == nil) == (err == nil) {
			t.Fatalf("%q: %v and %v", fields, from, err)
		}
		if err == nil && eventlog.EncodePosition(from) != fields {
			t.Errorf("%q is taken for %v", fields, from)
		}
	})
}
