package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/mux"
)

var quiet = slog.New(slog.DiscardHandler)

// testRouter has routes of each shape: a path with one method, with several
// methods, and with a variable.
func testRouter() *mux.Router {
	r := NewRouter()
	reached := func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, mux.Vars(r)["id"]) }
	r.HandleFunc("/commands", reached).Methods(http.MethodPost)
	r.HandleFunc("/users/{id}", reached).Methods(http.MethodGet)
	r.HandleFunc("/users/{id}", reached).Methods(http.MethodDelete, http.MethodPut)
	r.HandleFunc("/users/{id}/history", reached).Methods(http.MethodGet)
	r.HandleFunc("/any", reached)
	return r
}

// The requests go over a real connection, because net/http and mux both clean
// and redirect some paths by default.
func TestRouterWrongPathsAndMethods(t *testing.T) {
	server := httptest.NewServer(testRouter())
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	tests := []struct {
		method, path string
		status       int
		slug, allow  string
	}{
		{"POST", "/commands", 200, "", ""},
		{"GET", "/any", 200, "", ""},
		{"PATCH", "/any", 200, "", ""},
		{"GET", "/commands", 405, "method-not-allowed", "POST"},
		{"PUT", "/commands", 405, "method-not-allowed", "POST"},
		{"HEAD", "/commands", 405, "", "POST"}, // without a body
		{"OPTIONS", "/commands", 405, "method-not-allowed", "POST"},
		{"TRACE", "/commands", 405, "method-not-allowed", "POST"},
		{"post", "/commands", 405, "method-not-allowed", "POST"},
		{"MILL", "/commands", 405, "method-not-allowed", "POST"},
		{"POST", "/users/1", 405, "method-not-allowed", "DELETE, GET, PUT"},
		{"POST", "/users/a%2Fb/history", 405, "method-not-allowed", "GET"},
		{"POST", "/", 404, "not-found", ""},
		{"POST", "//", 404, "not-found", ""},
		{"POST", "//commands", 404, "not-found", ""},
		{"POST", "/commands/", 404, "not-found", ""},
		{"POST", "/commands//", 404, "not-found", ""},
		{"POST", "/./commands", 404, "not-found", ""},
		{"POST", "/../commands", 404, "not-found", ""},
		{"POST", "/x/../commands", 404, "not-found", ""},
		{"POST", "/commands/..", 404, "not-found", ""},
		{"POST", "/Commands", 404, "not-found", ""},
		{"POST", "/commands%2F", 404, "not-found", ""},
		{"POST", "/commands%00", 404, "not-found", ""},
		{"GET", "/users/", 404, "not-found", ""},
		{"GET", "/users/1/", 404, "not-found", ""},
		{"HEAD", "/nothing", 404, "", ""},
		{"OPTIONS", "/nothing", 404, "not-found", ""},
	}
	for _, test := range tests {
		t.Run(test.method+" "+test.path, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), test.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL.Opaque = test.path // unchanged on the wire
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != test.status || answer.Header.Get("Location") != "" {
				t.Fatalf("got %d, Location %q; want %d", answer.StatusCode, answer.Header.Get("Location"), test.status)
			}
			if test.slug != "" {
				wantProblem(t, answer.StatusCode, answer.Header, body, test.status, test.slug)
			}
			if allow := answer.Header.Get("Allow"); allow != test.allow {
				t.Errorf("Allow %q, want %q", allow, test.allow)
			}
		})
	}
}

// A handler gets a path variable unchanged, with percent-encoding.
func TestRouterKeepsPathsEncoded(t *testing.T) {
	for path, want := range map[string]string{
		"/users/a%2Fb": "a%2Fb", "/users/%2e%2e": "%2e%2e", "/users/a%20b": "a%20b", "/users/%C3%A9": "%C3%A9", "/users/a+b": "a+b",
	} {
		w := httptest.NewRecorder()
		testRouter().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("GET %s: got %d %q, want %q", path, w.Code, w.Body, want)
		}
	}
}

func TestHandler(t *testing.T) {
	problem := &Problem{Slug: "teapot", Status: http.StatusTeapot, Title: "Teapot"}
	gone, leave := context.WithCancel(t.Context())
	leave()
	tests := []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		slug   string
		logged bool
	}{
		{"problem", t.Context(), problem, 418, "teapot", false},
		{"wrapped problem", t.Context(), fmt.Errorf("serve: %w", problem), 418, "teapot", false},
		{"error", t.Context(), errors.New("dial 10.0.0.1: refused"), 503, "unavailable", true},
		{"error after the client left", gone, context.Canceled, 503, "unavailable", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			h := Handler(slog.New(slog.NewTextHandler(&log, nil)), func(http.ResponseWriter, *http.Request) error { return test.err })
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(test.ctx, http.MethodGet, "/", nil))
			detail := wantProblem(t, w.Code, w.Header(), w.Body.Bytes(), test.status, test.slug)
			if strings.Contains(detail, "10.0.0.1") {
				t.Errorf("detail %q tells too much", detail)
			}
			if got := log.Len() > 0; got != test.logged {
				t.Errorf("logged: %v, want %v: %s", got, test.logged, &log)
			}
		})
	}
	w := httptest.NewRecorder()
	Handler(quiet, func(w http.ResponseWriter, _ *http.Request) error {
		WriteJSON(w, http.StatusCreated, map[string]int{"a": 1})
		return nil
	}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if w.Code != 201 || w.Body.String() != "{\"a\":1}\n" || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("got %d %q %v", w.Code, w.Body, w.Header())
	}
}
