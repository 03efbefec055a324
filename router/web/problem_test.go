package web

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestProblemOnTheWire(t *testing.T) {
	tests := []struct {
		name    string
		problem Problem
		body    string
		retry   string
	}{
		{
			"all of it",
			Problem{
				Slug: "invalid-request", Status: 400, Title: "Invalid request", Detail: "see errors", ID: "a",
				Errors: []FieldError{
					{Pointer: "/payload/name", Detail: "is required"},
					{Pointer: "", Detail: "must be a JSON object"},
					{Parameter: "limit", Detail: "must be a number"},
				},
				RetryAfter: 1001 * time.Millisecond,
			},
			`{"type":"urn:millrace:problem:invalid-request","title":"Invalid request","status":400,"detail":"see errors","id":"a",` +
				`"errors":[{"pointer":"/payload/name","detail":"is required"},{"pointer":"","detail":"must be a JSON object"},{"parameter":"limit","detail":"must be a number"}]}` + "\n",
			"2",
		},
		{
			"little of it",
			Problem{Slug: "not-found", Status: 404, Title: "Not found"},
			`{"type":"urn:millrace:problem:not-found","title":"Not found","status":404}` + "\n",
			"",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			test.problem.ServeHTTP(w, nil)
			if w.Code != test.problem.Status || w.Body.String() != test.body {
				t.Errorf("got %d %s, want %d %s", w.Code, w.Body, test.problem.Status, test.body)
			}
			if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
			if got := w.Header().Get("Retry-After"); got != test.retry {
				t.Errorf("Retry-After %q, want %q", got, test.retry)
			}
		})
	}
}

// wantProblem checks a problem answer, and returns the problem's detail.
func wantProblem(t *testing.T, status int, header http.Header, body []byte, wantStatus int, wantSlug string) string {
	t.Helper()
	var problem struct{ Type, Detail string }
	if err := json.Unmarshal(body, &problem); err != nil {
		t.Fatalf("%d %q is no problem: %v", status, body, err)
	}
	if status != wantStatus || problem.Type != "urn:millrace:problem:"+wantSlug || header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %d %s %s, want %d %s", status, header.Get("Content-Type"), body, wantStatus, wantSlug)
	}
	return problem.Detail
}
