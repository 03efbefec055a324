package query

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/projection/projectiontest/orders"
	"github.com/millrace/millrace/router/web"
)

// Query takes the parameters that net/url reads, each once. The answer to other
// queries is short, even if the query is long.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "limit=1&after=x", "limit=1&limit=1", "limit", "&&", "a;b", "limit=%", "%6cimit=%31", "limit=\x00\xff", "=1",
		strings.Repeat("a&", 100), "limit=+1", "after=a%26limit=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := Query(&http.Request{URL: &url.URL{RawQuery: raw}}, "limit", "after")
		if err == nil {
			want, err := url.ParseQuery(raw)
			if err != nil {
				t.Fatalf("%q: %v", raw, err)
			}
			if diff := cmp.Diff(want, query); diff != "" {
				t.Errorf("%q (-net/url +ours):\n%s", raw, diff)
			}
			if limit, wrong := Limit(query); wrong == nil && (limit < 1 || limit > maxLimit) {
				t.Errorf("%q is a limit of %d", raw, limit)
			}
			return
		}
		wantFewWords(t, err, raw)
	})
}

// wantFewWords wants an answer that is not much longer than the request.
func wantFewWords(t *testing.T, err error, asked string) {
	t.Helper()
	var problem *web.Problem
	if !errors.As(err, &problem) || problem.Status != http.StatusBadRequest || len(problem.Errors) == 0 {
		t.Fatalf("%q: %v", asked, err)
	}
	w := httptest.NewRecorder()
	problem.ServeHTTP(w, nil)
	if !json.Valid(w.Body.Bytes()) || bytes.Contains(w.Body.Bytes(), []byte(`"pointer"`)) ||
		w.Body.Len() > 4096+6*len(asked) { // \u0000
		t.Errorf("%d bytes are answered with %d: %s", len(asked), w.Body.Len(), w.Body)
	}
}

// A taken id stands in the path, percent-encoded in some way.
func FuzzPathID(f *testing.F) {
	for _, seed := range []string{"1", "a%2Fb", "%2e%2e", "..", "%00", "%", "%zz", "a+b", "%C3%A9", "%ff", "stats", "%73tats"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := PathID(mux.SetURLVars(new(http.Request), map[string]string{"id": text}), orders.Aggregate)
		if !ok {
			return
		}
		again, ok := PathID(mux.SetURLVars(new(http.Request), map[string]string{"id": url.PathEscape(id)}), orders.Aggregate)
		if want, err := url.PathUnescape(text); err != nil || !ok || again != id || id != want {
			t.Errorf("%q is taken for %q, which is %q", text, id, again)
		}
	})
}

// A found tag stands in the list, and every tag of a well-formed list is found.
func FuzzNamesETag(f *testing.F) {
	for _, seed := range []string{"*", `"1-2"`, `W/"1-2"`, `"a,b", W/"1-2"`, `"`, `W/`, `"a"b, "1-2"`, ",,,", `w/"1-2"`, `""`} {
		f.Add(seed)
	}
	const etag = `W/"1-2"`
	f.Fuzz(func(t *testing.T, list string) {
		if namesETag(list, etag) && strings.Trim(list, " \t") != "*" && !strings.Contains(list, `"1-2"`) {
			t.Errorf("%q names %s", list, etag)
		}
		if tag := strings.Map(etagCharacter, list); !namesETag(`"`+tag+`" , `+etag, etag) {
			t.Errorf("%q hides %s", tag, etag)
		}
	})
}

// etagCharacter matches the characters of a tag (RFC 9110, section 8.8.3).
func etagCharacter(r rune) rune {
	if r == 0x21 || 0x23 <= r && r <= 0x7e || 0x80 <= r && r <= 0xff {
		return r
	}
	return -1
}

// Read-After is a token of either kind, once, or refused.
func FuzzReadAfter(f *testing.F) {
	for _, seed := range []string{"AQAB", "AgAAAXQBMQFj", "", "AQAB\nAQAB", "=", "AQ=="} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, fields string) {
		after, err := parseReadAfter(http.Header{headerReadAfter: strings.Split(fields, "\n")})
		if (after == nil) == (err == nil) {
			t.Fatalf("%q: %v and %v", fields, after, err)
		}
		if err != nil {
			wantFewWords(t, err, fields)
		}
	})
}
