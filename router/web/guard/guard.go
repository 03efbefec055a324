package guard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/millrace/millrace/router/logging"
	"github.com/millrace/millrace/router/web"
)

// Callers says which credentials an address accepts. The zero value accepts
// everybody.
type Callers struct {
	// Certificates demands a client certificate, verified by the server. Without
	// Tokens and JWT a caller needs nothing else.
	Certificates bool
	Tokens       []Token
	JWT          *JWT // nil accepts no JSON Web Tokens
	Log          *slog.Logger

	logSampler logging.Sampler
}

// Guard lets callers through to a handler.
type Guard struct {
	*Callers
	Scope  Scope   // scope that a caller needs here
	Limits *Limits // nil for no limits
	// Pages says whether the page that makes a request may show a token in the
	// cookie of [Guard.LogIn]. Nil allows no page.
	Pages func(*http.Request) bool
}

// caller is the sender of a request.
type caller struct {
	name   string // unique among all kinds of callers
	scopes Scope
}

// Protect returns a handler that passes the requests of accepted callers to
// next. A guard without conditions returns next itself.
func (g *Guard) Protect(next http.Handler) http.Handler {
	if !g.Certificates && !g.bearer() && g.Limits == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, refusal := g.admit(r)
		if g.Limits != nil {
			if refusal != nil {
				who.name = address(r) // a caller who guesses tokens has limits too
			}
			leave, problem := g.Limits.enter(who.name)
			if problem != nil {
				problem.ServeHTTP(w, r)
				return
			}
			defer leave()
		}
		if refusal != nil {
			refusal.answer(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bearer reports whether a caller needs a token.
func (c *Callers) bearer() bool { return len(c.Tokens) > 0 || c.JWT != nil }

// refusal is a problem with its challenge (RFC 6750, section 3).
type refusal struct {
	problem   *web.Problem
	challenge string // "" for none
}

func (f *refusal) answer(w http.ResponseWriter, r *http.Request) {
	if f.challenge != "" {
		w.Header().Set("WWW-Authenticate", f.challenge)
	}
	f.problem.ServeHTTP(w, r)
}

// admit returns the sender of a request, or a refusal.
func (g *Guard) admit(r *http.Request) (caller, *refusal) {
	who := caller{name: address(r), scopes: everything}
	if g.Certificates {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			return who, &refusal{problem: &web.Problem{
				Slug: "certificate-required", Status: http.StatusForbidden,
				Title: "Certificate required", Detail: "a client certificate is needed here",
			}}
		}
		who.name = "certificate " + r.TLS.VerifiedChains[0][0].Subject.String()
	}
	if !g.bearer() {
		return who, nil
	}
	token, given := bearerToken(r.Header)
	if !given && g.Pages != nil && g.Pages(r) {
		token, given = cookieToken(r)
	}
	if !given {
		return who, unauthorized("a bearer token is needed here", "")
	}
	return g.admitToken(r.Context(), token, g.Scope)
}

// admitToken returns the owner of a token with a scope, or a refusal.
func (c *Callers) admitToken(ctx context.Context, token string, scope Scope) (caller, *refusal) {
	who, err := c.find(ctx, token)
	var invalid *invalidToken
	switch {
	case errors.As(err, &invalid):
		return who, unauthorized(invalid.reason, `, error="invalid_token", error_description="`+invalid.reason+`"`)
	case err != nil:
		c.logSampler.Warn(c.Log, "tokens can't be verified", "error", err)
		return who, &refusal{problem: web.Unavailable("tokens can't be verified now; try again")}
	case who.scopes&scope == 0:
		return who, &refusal{
			&web.Problem{
				Slug: "insufficient-scope", Status: http.StatusForbidden,
				Title: "Insufficient scope", Detail: "this needs a token with the scope " + scope.String(),
			},
			challenge + `, error="insufficient_scope", scope="` + scope.String() + `"`,
		}
	}
	return who, nil
}

const challenge = `Bearer realm="millrace"`

func unauthorized(detail, parameters string) *refusal {
	return &refusal{
		&web.Problem{Slug: "unauthorized", Status: http.StatusUnauthorized, Title: "Unauthorized", Detail: detail},
		challenge + parameters,
	}
}

// invalidToken is the error of a bad token. The reason is for the caller, and
// has no secret and no quotes.
type invalidToken struct{ reason string }

func (e *invalidToken) Error() string { return e.reason }

// find returns the owner of a token. An error is [invalidToken], or [errNoKeys]
// if the guard can't verify tokens.
func (c *Callers) find(ctx context.Context, token string) (caller, error) {
	if name, scopes, ok := lookUp(c.Tokens, token); ok {
		return caller{"token " + name, scopes}, nil
	}
	if c.JWT != nil && strings.Count(token, ".") == 2 {
		subject, scopes, err := c.JWT.verify(ctx, token)
		return caller{"subject " + subject, scopes}, err
	}
	return caller{}, &invalidToken{"the token is not known"}
}

// bearerToken returns the bearer token of a request, "" for an impossible token.
// Without an Authorization header of this scheme, given is false.
func bearerToken(h http.Header) (token string, given bool) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	if len(values) > 1 { // ambiguous
		return "", true
	}
	return strings.Trim(token, " "), true
}
