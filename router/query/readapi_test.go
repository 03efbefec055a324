package query

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// viewStore is a store with a View only.
type viewStore struct {
	readmodel.Store
	view func(ctx context.Context, fn func(readmodel.View) error) error
}

func (s viewStore) View(ctx context.Context, _ *projection.Projection, fn func(readmodel.View) error) error {
	return s.view(ctx, fn)
}

// checkpointView is a view of checkpoints only.
type checkpointView struct {
	readmodel.View
	checkpoints []readmodel.Checkpoint
	err         error
}

func (v checkpointView) Checkpoints(context.Context) ([]readmodel.Checkpoint, error) {
	return v.checkpoints, v.err
}

// answer is the answer of a reader with this store if read returns err. Without an
// error the handler writes "read".
func answer(store readmodel.Store, err error) *httptest.ResponseRecorder {
	reader := &Reader{Store: store, Log: slog.New(slog.DiscardHandler)}
	router := web.NewRouter()
	reader.Get(router, "/", func(w http.ResponseWriter, r *http.Request) error {
		failed := reader.Read(w, r, nil, func(context.Context, readmodel.View) error { return err })
		if failed == nil {
			web.WriteJSON(w, http.StatusOK, "read")
		}
		return failed
	})
	w := httptest.NewRecorder()
	router.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", http.NoBody))
	return w
}

func TestRead(t *testing.T) {
	at := func(fn func(readmodel.View) error) error {
		return fn(checkpointView{checkpoints: []readmodel.Checkpoint{{Partition: 1, Next: 7}}})
	}
	for _, test := range []struct {
		name     string
		view     func(fn func(readmodel.View) error) error
		err      error // of read
		status   int
		position string
		body     string
	}{
		{"an answer", at, nil, 200, "AQEH", `"read"`},
		{"a problem that was read", at, &web.Problem{Slug: "gone", Title: "Gone", Status: 410}, 410, "AQEH",
			`{"type":"urn:millrace:problem:gone","title":"Gone","status":410}`},
		{"a query that fails", at, errors.New("secret of the store"), 503, "",
			`{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the service can't answer this now; try again"}`},
		{"no such read model", func(func(readmodel.View) error) error { return readmodel.ErrNotPrepared }, nil, 503, "",
			`{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the read model isn't there yet"}`},
		{"a store that is away", func(func(readmodel.View) error) error { return errors.New("secret of the store") }, nil, 503, "",
			`{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the service can't answer this now; try again"}`},
		{"checkpoints that can't be read", func(fn func(readmodel.View) error) error {
			return fn(checkpointView{err: errors.New("secret of the store")})
		}, nil, 503, "",
			`{"type":"urn:millrace:problem:unavailable","title":"Service unavailable","status":503,"detail":"the service can't answer this now; try again"}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := viewStore{view: func(_ context.Context, fn func(readmodel.View) error) error { return test.view(fn) }}
			w := answer(store, test.err)
			if w.Code != test.status {
				t.Errorf("status %d, want %d", w.Code, test.status)
			}
			if diff := cmp.Diff(test.body+"\n", w.Body.String()); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got := w.Header().Get("Position"); got != test.position {
				t.Errorf("Position %q, want %q", got, test.position)
			}
			if got := w.Header().Get("Retry-After"); (got != "") != (test.status == 503) {
				t.Errorf("Retry-After %q with status %d", got, test.status)
			}
			if got := w.Header().Get("Cache-Control"); (got == "no-cache") != (test.position != "") {
				t.Errorf("Cache-Control %q", got)
			}
		})
	}
}

func TestReadOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := answer(viewStore{view: func(ctx context.Context, _ func(readmodel.View) error) error {
			<-ctx.Done()
			return ctx.Err()
		}}, nil)
		if took := time.Since(start); w.Code != 503 || took != readmodel.ReadTimeout {
			t.Errorf("status %d after %s, want 503 after %s", w.Code, took, readmodel.ReadTimeout)
		}
	})
}

func TestQuery(t *testing.T) {
	const malformed, unknown, twice = "is malformed", "is not a parameter of this query", "must be given once"
	for _, test := range []struct {
		raw   string
		want  string // the parameters, encoded
		wrong []web.FieldError
	}{
		{"", "", nil},
		{"&", "", nil},
		{"a=1&b=2", "a=1&b=2", nil},
		{"b=%C3%A4+%2B", "b=%C3%A4+%2B", nil},
		{"a", "a=", nil},
		{"c=1", "", []web.FieldError{{Parameter: "c", Detail: unknown}}},
		{"A=1", "", []web.FieldError{{Parameter: "A", Detail: unknown}}},
		{"=1", "", []web.FieldError{{Parameter: "=1", Detail: unknown}}},
		{"a=1&a=1", "", []web.FieldError{{Parameter: "a", Detail: twice}}},
		{"a=1&%61=2", "", []web.FieldError{{Parameter: "a", Detail: twice}}},
		{"a=%zz", "", []web.FieldError{{Parameter: "a", Detail: malformed}}},
		{"%zz=a", "", []web.FieldError{{Parameter: "%zz", Detail: malformed}}},
		{"a=1;b=2", "", []web.FieldError{{Parameter: "a", Detail: malformed}}},
		{"c=1&a=%&b=1&b=2", "", []web.FieldError{
			{Parameter: "c", Detail: unknown}, {Parameter: "a", Detail: malformed}, {Parameter: "b", Detail: twice},
		}},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+test.raw, http.NoBody)
		query, err := Query(r, "a", "b")
		if got := query.Encode(); got != test.want {
			t.Errorf("%q was read as %q, want %q", test.raw, got, test.want)
		}
		var problem *web.Problem
		if errors.As(err, &problem) != (test.wrong != nil) {
			t.Errorf("%q: error %v", test.raw, err)
			continue
		}
		if problem == nil {
			continue
		}
		if diff := cmp.Diff(test.wrong, problem.Errors); diff != "" {
			t.Errorf("%q: errors (-want +got):\n%s", test.raw, diff)
		}
		if problem.Status != 400 || problem.Slug != "invalid-request" {
			body, _ := json.Marshal(problem)
			t.Errorf("%q: %s", test.raw, body)
		}
	}
}

func TestNotModified(t *testing.T) {
	etag := ETag(1, "3")
	if want := `W/"1-3"`; etag != want {
		t.Fatalf("ETag %s, want %s", etag, want)
	}
	for _, test := range []struct {
		header []string
		want   bool
	}{
		{nil, false},
		{[]string{""}, false},
		{[]string{`W/"1-3"`}, true},
		{[]string{`"1-3"`}, true}, // weak comparison
		{[]string{`w/"1-3"`}, false},
		{[]string{`1-3`}, false},
		{[]string{`W/"1-33"`}, false},
		{[]string{`W/"2-3"`}, false},
		{[]string{`W/"1-2", W/"1-3"`}, true},
		{[]string{`W/"1-2",W/"1-3","x"`}, true},
		{[]string{`,, W/"1-2" ,	W/"1-3"`}, true},
		{[]string{`W/"1-2"`, `W/"1-3"`}, true},
		{[]string{`"a,b", "1-3"`}, true},
		{[]string{`"a,W/", "b"`}, false},
		{[]string{`*`}, true},
		{[]string{` * `}, true},
		{[]string{`"*"`}, false},
		{[]string{`*, "x"`}, false},
		{[]string{`"1-2" "1-3"`}, false},
		{[]string{`"1-3`}, false},
		{[]string{`"`}, false},
		{[]string{`"x", nonsense, "1-3"`}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		if test.header != nil {
			r.Header["If-None-Match"] = test.header
		}
		w := httptest.NewRecorder()
		got := NotModified(w, r, etag)
		if got != test.want {
			t.Errorf("If-None-Match %q: %t", test.header, got)
		}
		if w.Header().Get("ETag") != etag {
			t.Errorf("If-None-Match %q: no ETag", test.header)
		}
		if status := w.Code; (status == http.StatusNotModified) != test.want {
			t.Errorf("If-None-Match %q: status %d", test.header, status)
		}
	}
}

func TestURL(t *testing.T) {
	for public, want := range map[string]string{
		"http://localhost:3002":   "http://localhost:3002/orders",
		"https://example.org/":    "https://example.org/orders",
		"https://example.org/api": "https://example.org/api/orders",
	} {
		if got := (&Reader{PublicURL: public}).URL("/orders"); got != want {
			t.Errorf("under %s: %s, want %s", public, got, want)
		}
	}
}
