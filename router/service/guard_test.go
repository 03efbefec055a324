package service

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/cors"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/web"
	"github.com/millrace/millrace/router/web/guard"
)

// Each setting of HTTP gets to the servers.
func TestHTTPSettings(t *testing.T) {
	t.Parallel()
	s := secure{http: config.HTTPConfig{
		HeaderTimeout: 1, ReadTimeout: 2, WriteTimeout: 3, IdleTimeout: 4, MaxHeaderBytes: 5, MaxConnections: 6,
	}}
	want := web.Settings{HeaderTimeout: 1, ReadTimeout: 2, WriteTimeout: 3, IdleTimeout: 4, MaxHeaderBytes: 5, MaxConnections: 6}
	if diff := cmp.Diff(want, s.settings(tls.RequireAndVerifyClientCert)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Pages of a listed origin may ask, and need no token for the preflight. The
// browser shows other pages nothing.
func TestPagesFromElsewhere(t *testing.T) {
	t.Parallel()
	token, err := guard.ParseToken("shop:queries:87cbebfeebc05f7c54ac9336c4b4bbec831227a641951a4bde7edd56020f8590")
	if err != nil {
		t.Fatal(err)
	}
	g := &guard.Guard{Callers: &guard.Callers{Tokens: []guard.Token{token}}, Scope: guard.Queries}
	s := secure{cors: cors.New(corsOptions([]string{"https://shop.example.org"}, false))}
	handler := s.public(g, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	ask := func(method, origin string, header map[string]string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/users", http.NoBody)
		r.Header.Set("Origin", origin)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	preflight := map[string]string{"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
	bearing := map[string]string{"Authorization": "Bearer correct-horse-battery-staple"}
	tests := []struct {
		name           string
		method, origin string
		header         map[string]string
		status         int
		allowed        string
	}{
		{"may I?", "OPTIONS", "https://shop.example.org", preflight, 204, "https://shop.example.org"},
		{"may I, from elsewhere?", "OPTIONS", "https://evil.example.org", preflight, 204, ""},
		{"with a token", "GET", "https://shop.example.org", bearing, 418, "https://shop.example.org"},
		{"without", "GET", "https://shop.example.org", nil, 401, "https://shop.example.org"},
		{"from elsewhere", "GET", "https://evil.example.org", bearing, 418, ""},
		{"OPTIONS that asks for nothing", "OPTIONS", "https://shop.example.org", nil, 401, "https://shop.example.org"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := ask(test.method, test.origin, test.header)
			if diff := cmp.Diff([]any{test.status, test.allowed}, []any{got.Code, got.Header().Get("Access-Control-Allow-Origin")}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.Header().Get("Access-Control-Allow-Credentials") != "" {
				t.Error("credentials are allowed")
			}
		})
	}
}
