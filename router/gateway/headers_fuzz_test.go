package gateway

import (
	"mime"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/router/strict"
)

// A wait is whole seconds up to the longest wait, and reads the same when
// written again.
func FuzzPreferredWait(f *testing.F) {
	for _, seed := range []string{
		"wait=5", `Wait = "7" ; a=b`, "respond-async, wait=10, wait=3", `a="x,\"wait=9"; b, wait=1`, "wait=99999999999999999999",
		"wait=-1", "wait", `wait="`, ",;=,\n,wait=2", `"\`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, fields string) {
		wait := preferredWait(http.Header{"Prefer": strings.Split(fields, "\n")})
		if wait < 0 || wait > maxWait || wait%time.Second != 0 {
			t.Fatalf("%q is a wait of %s", fields, wait)
		}
		said := http.Header{}
		if applyWait(said, wait); wait > 0 && preferredWait(http.Header{"Prefer": said["Preference-Applied"]}) != wait {
			t.Errorf("%q is a wait of %s, and applied as %q", fields, wait, said)
		}
	})
}

// An accepted key stands in the header unchanged, bare or quoted.
func FuzzIdempotencyKey(f *testing.F) {
	for _, seed := range []string{"a", `"a"`, `""`, `"`, "a\nb", "\x00", strings.Repeat("a", 129), "~._:-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, fields string) {
		values := strings.Split(fields, "\n")
		key, wrong := idempotencyKey(http.Header{headerIdempotencyKey: values})
		if (key == "") == (wrong == nil) {
			t.Fatalf("%q: key %q and errors %v", fields, key, wrong)
		}
		if key != "" && (len(values) != 1 || values[0] != key && values[0] != `"`+key+`"` || !strict.IsCommandID(key)) {
			t.Errorf("%q is taken for %q", fields, key)
		}
	})
}

// An accepted media type is JSON or NDJSON, in UTF-8.
func FuzzMediaOf(f *testing.F) {
	for _, seed := range []string{
		"application/json", "Application/JSON ; Charset=\"UTF-8\"", "application/x-ndjson;charset=utf-8", "application/json;charset*=utf-8''utf-8",
		"application/json; charset=utf-8; charset=utf-8", "application/json;", "application/json, text/plain", "/", ";",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		media, err := mediaOf(http.Header{"Content-Type": {value}})
		if (media == "") == (err == nil) {
			t.Fatalf("%q: %q and %v", value, media, err)
		}
		if err != nil {
			return
		}
		name, parameters, err := mime.ParseMediaType(value)
		charset, given := parameters["charset"]
		if err != nil || name != media || given && !strings.EqualFold(charset, "utf-8") {
			t.Errorf("%q is taken for %q: %q, %v, %v", value, media, name, parameters, err)
		}
	})
}
