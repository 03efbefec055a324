package guard

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/millrace/millrace/router/web"
)

// Callers are those that may call, and how they show who they are. The zero
// value is everybody.
type Callers struct {
	// Certificates demands a certificate that the server has verified. Where
	// there are neither Tokens nor JWT, it is all that a caller needs.
	Certificates bool
	Tokens       []Token
	JWT          *JWT // nil: none
	Log          *slog.Logger

	logSampler web.LogSampler
}

// Guard lets callers through to a handler.
type Guard struct {
	*Callers
	Scope  Scope   // what they must be allowed to do
	Limits *Limits // nil: none
}

// caller is whom a request comes from.
type caller struct {
	name   string // unique among all kinds of callers
	scopes Scope
}

// Protect is the handler for those who may call it. A guard that lets
// everybody through costs nothing: it is the handler itself.
func (g *Guard) Protect(next http.Handler) http.Handler {
	if !g.Certificates && !g.bearer() && g.Limits == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, refusal := g.admit(r, g.Scope)
		if g.Limits != nil {
			if refusal != nil {
				who.name = address(r) // those who try tokens have limits too
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

// bearer reports whether callers need a token.
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

// admit says whom the request comes from, or why it may not pass.
func (c *Callers) admit(r *http.Request, scope Scope) (caller, *refusal) {
	who := caller{name: address(r), scopes: everything}
	if c.Certificates {
		if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
			return who, &refusal{problem: &web.Problem{
				Slug: "certificate-required", Status: http.StatusForbidden,
				Title: "Certificate required", Detail: "a client certificate is needed here",
			}}
		}
		who.name = "certificate " + r.TLS.VerifiedChains[0][0].Subject.String()
	}
	if !c.bearer() {
		return who, nil
	}
	token, given := bearerToken(r.Header)
	if !given {
		return who, unauthorized("a bearer token is needed here", "")
	}
	who, err := c.find(r.Context(), token)
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

// invalidToken is a token that is no good, and what its bearer may know of
// why: no secret, and no quotes.
type invalidToken struct{ reason string }

func (e *invalidToken) Error() string { return e.reason }

// find returns whose token it is: an [invalidToken], or an error that is not
// the caller's.
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

// bearerToken is the request's, "" if it can't be one; given is false where
// there is no Authorization of that scheme.
func bearerToken(h http.Header) (token string, given bool) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", false
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	if len(values) > 1 { // which of them?
		return "", true
	}
	return strings.Trim(token, " "), true
}
