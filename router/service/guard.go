package service

import (
	"context"
	"crypto/tls"
	"net/http"
	"slices"
	"time"

	"github.com/rs/cors"

	"github.com/millrace/millrace/router/config"
	"github.com/millrace/millrace/router/console"
	"github.com/millrace/millrace/router/web"
	"github.com/millrace/millrace/router/web/guard"
)

// secure stands between the HTTP addresses and the callers. The zero value is
// for a process without HTTP addresses.
type secure struct {
	http         config.HTTPConfig
	certificates *web.Certificates // nil for plain HTTP
	commands     *guard.Guard
	queries      *guard.Guard
	operators    *guard.Guard
	cors         *cors.Cors // nil: no page of another origin may call
	// consoles are the origins of the console's pages. Such pages may show the
	// cookie of the login, by consoleCORS.
	consoles    []string
	consoleCORS *cors.Cors
}

// allowConsoles lets the console's pages of these origins call the commands and
// the queries.
func (s *secure) allowConsoles(origins []string) {
	s.consoles = origins
	s.consoleCORS = cors.New(corsOptions(origins, true))
	s.commands.Pages, s.queries.Pages = guard.FromOrigins(origins), guard.FromOrigins(origins)
}

// newSecure reads the files of the configuration: certificates and keys.
func (m *Process) newSecure(ctx context.Context) (s secure, err error) {
	cfg := m.Config
	s.http = cfg.HTTP
	if cfg.TLS.Cert != "" {
		if s.certificates, err = web.LoadCertificates(cfg.TLS.Cert, cfg.TLS.Key, cfg.TLS.ClientCA, m.Log); err != nil {
			return s, err
		}
	}
	callers := guard.Callers{Certificates: cfg.TLS.ClientCA != "", Log: m.Log}
	for _, text := range cfg.Auth.Tokens {
		token, err := guard.ParseToken(string(text))
		if err != nil {
			return s, err
		}
		callers.Tokens = append(callers.Tokens, token)
	}
	if callers.JWT, err = m.newJWT(ctx, cfg.Auth.JWT); err != nil {
		return s, err
	}
	limits := func() *guard.Limits {
		if cfg.Limits.RequestsPerSecond == 0 && cfg.Limits.InFlight == 0 {
			return nil
		}
		return guard.NewLimits(cfg.Limits.RequestsPerSecond, cfg.Limits.Burst, cfg.Limits.InFlight)
	}
	s.commands = &guard.Guard{Callers: &callers, Scope: guard.Commands, Limits: limits()}
	s.queries = &guard.Guard{Callers: &callers, Scope: guard.Queries, Limits: limits()}
	s.operators = &guard.Guard{Callers: &callers, Scope: guard.Operate, Pages: guard.SameOrigin}
	if len(cfg.CORS.AllowedOrigins) > 0 {
		s.cors = cors.New(corsOptions(cfg.CORS.AllowedOrigins, false))
	}
	return s, nil
}

// newJWT returns nil if the configuration names no issuer.
func (m *Process) newJWT(ctx context.Context, cfg config.JWTConfig) (*guard.JWT, error) {
	j := &guard.JWT{Issuer: cfg.Issuer, Audience: cfg.Audience, Algorithms: cfg.Algorithms, Leeway: cfg.Leeway}
	var err error
	switch {
	case cfg.Issuer == "":
		return nil, nil
	case cfg.Keys != "":
		j.Keys, err = guard.FileKeys(ctx, cfg.Keys, m.Log)
	default:
		j.Keys = guard.IssuerKeys(cfg.Issuer, m.Log)
	}
	return j, err
}

// corsOptions let pages of these origins call the service, and read the headers
// of answers. Pages send tokens themselves; the console's pages, with cookies,
// show the cookie of the login.
func corsOptions(origins []string, cookies bool) cors.Options {
	return cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{
			"Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Prefer", "Read-After",
		},
		ExposedHeaders: []string{
			"ETag", "Link", "Location", "Position", "Preference-Applied", "Retry-After", "WWW-Authenticate",
		},
		AllowCredentials: cookies,
		MaxAge:           int((10 * time.Minute).Seconds()),
	}
}

// settings are the settings of an HTTP address. With tls.client_ca, the address
// demands a certificate of callers.
func (s *secure) settings(demand tls.ClientAuthType) web.Settings {
	settings := web.Settings{
		HeaderTimeout:  s.http.HeaderTimeout,
		ReadTimeout:    s.http.ReadTimeout,
		WriteTimeout:   s.http.WriteTimeout,
		IdleTimeout:    s.http.IdleTimeout,
		MaxHeaderBytes: s.http.MaxHeaderBytes,
		MaxConnections: s.http.MaxConnections,
	}
	if s.certificates != nil {
		settings.TLS = s.certificates.Server(demand)
	}
	return settings
}

// public puts a handler of commands or queries behind the guard, and answers
// CORS requests.
func (s *secure) public(g *guard.Guard, next http.Handler) http.Handler {
	next = g.Protect(next)
	others, consoles := next, next
	if s.cors != nil {
		others = s.cors.Handler(next)
	}
	if s.consoleCORS != nil {
		consoles = s.consoleCORS.Handler(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(s.consoles, r.Header.Get("Origin")) {
			consoles.ServeHTTP(w, r)
			return
		}
		others.ServeHTTP(w, r)
	})
}

// admin is the handler of the admin address. /livez, /readyz and /healthz need no token: a
// load balancer or an orchestrator can't have one. Nor do the console's page and the login.
func (s *secure) admin(c *console.Console, routes http.Handler) http.Handler {
	guarded := s.operators.Protect(routes)
	return c.Protect(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/livez" || r.URL.Path == "/readyz" || r.URL.Path == "/healthz" || console.Open(r) {
			routes.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	}))
}
