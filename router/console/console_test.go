package console

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/router/web"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// part is a view with these routes.
type part func(*API)

func (p part) Routes(a *API) { p(a) }

// newConsole is a console whose callers need no token, with a view of these
// routes.
func newConsole(routes func(*API)) *Console {
	c := &Console{
		Title: "Shop", Version: "1", Roles: []string{"read-api"}, Pages: true, Log: slog.New(slog.DiscardHandler),
		Commands: func(*http.Request) string { return "https://shop.example.org/commands" },
		Queries:  func(*http.Request) string { return "http://localhost:3002" },
		Peers:    []Peer{{"query-service", "http://localhost:3005"}},
		Views:    []View{{Name: "streams", Needs: "Kafka"}},
	}
	if routes != nil {
		c.Views = append(c.Views, View{Name: "own", Part: part(routes)})
	}
	return c
}

// handler is the console as the admin address serves it.
func (c *Console) handler() http.Handler {
	router := web.NewRouter()
	c.Routes(router)
	return c.Protect(router)
}

func ask(c *Console, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for pair := range slices.Chunk(headers, 2) {
		if pair[0] == "Host" {
			r.Host = pair[1]
		}
		r.Header.Set(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, r)
	return w
}

func TestConsoleSaysWhoHasAView(t *testing.T) {
	t.Parallel()
	w := ask(newConsole(func(*API) {}), http.MethodGet, "/api/console", "")
	want := `{"title":"Shop","version":"1","roles":["read-api"],"views":[{"name":"streams","available":false,"needs":"Kafka"},{"name":"own","available":true}],` +
		`"peers":[{"name":"query-service","url":"http://localhost:3005"}],"commands":"https://shop.example.org/commands","queries":"http://localhost:3002","login":false}`
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusOK || got != want {
		t.Errorf("%d\n%s\nwant\n%s", w.Code, got, want)
	}
	if got := w.Header().Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control: %s", got)
	}
}

// Nothing that another page sends gets to a view, whatever the method.
func TestOtherPagesAreRefused(t *testing.T) {
	t.Parallel()
	called := 0
	count := func(w http.ResponseWriter, _ *http.Request) error {
		called++
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	c := newConsole(func(a *API) {
		a.Get("/api/own", count)
		a.Post("/api/own", count)
		a.Delete("/api/own", count)
	})
	c.Hosts = []string{"console.example.org"}
	for _, test := range []struct {
		what    string
		method  string
		headers []string
		status  int
	}{
		{"another site", http.MethodPost, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"another site, reading", http.MethodGet, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"another port", http.MethodDelete, []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		{"an old browser", http.MethodPost, []string{"Origin", "http://evil.example"}, http.StatusForbidden},
		{"a name that points here", http.MethodGet, []string{"Host", "evil.example", "Sec-Fetch-Site", "same-origin"}, http.StatusForbidden},
		{"a form", http.MethodPost, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		{"a form of fields", http.MethodPost, []string{"Content-Type", "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		{"a script without a browser", http.MethodPost, []string{"Content-Type", "application/json"}, http.StatusNoContent},
		{"the own page", http.MethodPost, []string{"Content-Type", "application/json", "Sec-Fetch-Site", "same-origin", "Origin", "http://localhost"}, http.StatusNoContent},
		{"the own page at an IP address", http.MethodGet, []string{"Host", "[::1]:3003", "Sec-Fetch-Site", "same-origin"}, http.StatusNoContent},
		{"the own page at a set name", http.MethodGet, []string{"Host", "Console.example.org", "Sec-Fetch-Site", "same-origin"}, http.StatusNoContent},
	} {
		before := called
		if w := ask(c, test.method, "http://localhost/api/own", "{}", test.headers...); w.Code != test.status {
			t.Errorf("%s: %d %s, want %d", test.what, w.Code, w.Body, test.status)
		}
		if got := called - before; got != 0 != (test.status == http.StatusNoContent) {
			t.Errorf("%s: the view was called %d times", test.what, got)
		}
	}
}

func TestReadJSONIsStrict(t *testing.T) {
	t.Parallel()
	c := newConsole(nil)
	for _, body := range []string{"", "{", `{"token":"a"} more`, `{"token":"a","token":"b"}`, `{"Token":"a"}`, `{"token":1}`, `[]`, `{"token":""}`, `{}`,
		`{"token":"` + strings.Repeat("a", maxBody) + `"}`} {
		if w := ask(c, http.MethodPost, "/api/session", body, "Content-Type", "application/json"); w.Code != http.StatusBadRequest {
			t.Errorf("%.40s: %d %s", body, w.Code, w.Body)
		}
	}
}

// login is a Login that refuses every token but "good".
type login struct{}

func (login) LogIn(w http.ResponseWriter, _ *http.Request, token string) error {
	if token != "good" {
		return &web.Problem{Slug: "unauthorized", Status: http.StatusUnauthorized, Title: "Unauthorized"}
	}
	http.SetCookie(w, &http.Cookie{Name: "n", Value: "v"})
	return nil
}

func TestLoginAndLogout(t *testing.T) {
	t.Parallel()
	c := newConsole(nil)
	c.Login = login{}
	in := ask(c, http.MethodPost, "/api/session", `{"token":"good"}`, "Content-Type", "application/json")
	if in.Code != http.StatusNoContent || in.Header().Get("Set-Cookie") == "" {
		t.Errorf("login: %d %v", in.Code, in.Header())
	}
	if w := ask(c, http.MethodPost, "/api/session", `{"token":"bad"}`, "Content-Type", "application/json"); w.Code != http.StatusUnauthorized || w.Header().Get("Set-Cookie") != "" {
		t.Errorf("a bad token: %d %v", w.Code, w.Header())
	}
	if w := ask(c, http.MethodDelete, "/api/session", ""); w.Code != http.StatusNoContent || !strings.Contains(w.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("logout: %d %v", w.Code, w.Header())
	}
}

func TestPageAndItsFiles(t *testing.T) {
	t.Parallel()
	c := newConsole(nil)
	page := ask(c, http.MethodGet, "/", "")
	policy := page.Header().Get("Content-Security-Policy")
	for _, rule := range []string{
		"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'",
		"connect-src 'self' https://shop.example.org http://localhost:3002",
	} {
		if !slices.Contains(strings.Split(policy, "; "), rule) {
			t.Errorf("the policy lacks %s: %s", rule, policy)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
		t.Errorf("the policy is lax: %s", policy)
	}
	if text := page.Body.String(); regexp.MustCompile(`<script>|<style|style=|\son[a-z]+=|https?:`).MatchString(text) {
		t.Errorf("the page has inline code, or something from elsewhere:\n%s", text)
	}
	for _, at := range regexp.MustCompile(`(?:href|src)="(/[^"]+)"`).FindAllStringSubmatch(page.Body.String(), -1) {
		plain, packed := ask(c, http.MethodGet, at[1], ""), ask(c, http.MethodGet, at[1], "", "Accept-Encoding", "br, gzip")
		if plain.Code != http.StatusOK || !strings.Contains(plain.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s: %d %v", at[1], plain.Code, plain.Header())
		}
		unpacked, err := gzip.NewReader(packed.Body)
		if err != nil {
			t.Fatalf("%s: %v", at[1], err)
		}
		if text, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(text, plain.Body.Bytes()) {
			t.Errorf("%s differs with gzip: %v", at[1], err)
		}
	}
	for _, at := range []string{assetsPath, assetsPath + load().digest + "/index.html", assetsPath + load().digest + "/../console.go", assetsPath + "0000/main.js"} {
		if w := ask(c, http.MethodGet, at, ""); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", at, w.Code)
		}
	}
	c.Pages = false
	if w := ask(c, http.MethodGet, "/", ""); w.Code != http.StatusNotFound {
		t.Errorf("admin.console: false has a page: %d", w.Code)
	}
	if w := ask(c, http.MethodGet, "/api/console", ""); w.Code != http.StatusOK {
		t.Errorf("admin.console: false has no API: %d", w.Code)
	}
}

// No file asks for anything from elsewhere, and no file goes round the way that
// takes text as text.
func TestFilesAreSelfContained(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|@import|url\(|from 'http|import\('http`)
	err := fs.WalkDir(embedded, "assets", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := embedded.ReadFile(name)
		for _, found := range forbidden.FindAllString(string(text), -1) {
			if name == "assets/dom.js" && found == "innerHTML" {
				continue // a comment
			}
			t.Errorf("%s has %s", name, found)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// A stream of events begins with the pause before a browser comes again, and
// ends when the process stops, or when the client leaves.
func TestEvents(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	ended := make(chan error, 2)
	c := newConsole(func(a *API) {
		a.Events("/api/own", func(r *http.Request) (func(*EventStream) error, error) {
			if r.URL.RawQuery != "" {
				return nil, Invalid(web.FieldError{Parameter: "a", Detail: "is not known"})
			}
			return func(s *EventStream) error {
				err := s.Send("greeting", map[string]string{"text": "a\nb <img>"})
				<-s.Context().Done()
				ended <- s.Context().Err()
				return err
			}, nil
		})
	})
	c.Stopping = stop
	server := httptest.NewServer(c.handler())
	defer server.Close()
	begin := func(ctx context.Context) *bufio.Reader {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/api/own", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r) //nolint:bodyclose // ends with the context
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.Header; got.Get("Content-Type") != "text/event-stream" || got.Get("X-Accel-Buffering") != "no" {
			t.Errorf("headers: %v", got)
		}
		return bufio.NewReader(answer.Body)
	}
	line := func(from *bufio.Reader) string {
		text, err := from.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(text, "\n")
	}
	ctx, leave := context.WithTimeout(t.Context(), time.Minute)
	defer leave()
	events := begin(ctx)
	if got := line(events); !regexp.MustCompile(`^retry: [12]\d{3}$`).MatchString(got) {
		t.Errorf("the first line is %q", got)
	}
	line(events)
	data := line(events) + "\n" + line(events)
	var body struct{ Text string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(data, "event: greeting\ndata: ")), &body); err != nil || body.Text != "a\nb <img>" {
		t.Errorf("the event is %q", data)
	}
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the client has left, and the stream ends with %v", err)
	}
	staying, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	events = begin(staying)
	line(events)
	close(stop)
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the process stops, and the stream ends with %v", err)
	}
	if _, err := io.ReadAll(events); err != nil {
		t.Errorf("the process stops, and the answer ends with %v", err)
	}
	if w := ask(c, http.MethodGet, "/api/own?a=b", ""); w.Code != http.StatusBadRequest {
		t.Errorf("a refused stream: %d", w.Code)
	}
}
