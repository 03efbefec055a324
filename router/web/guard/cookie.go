package guard

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/millrace/millrace/router/web"
)

// maxCookie is the longest cookie that browsers keep, in bytes, less the name
// and the attributes.
const maxCookie = 3800

// cookieName is the name of the cookie with a token. Under TLS the prefix keeps
// other hosts of the domain from setting the cookie (RFC 6265bis, section
// 4.1.3.2).
func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return "__Host-millrace-token"
	}
	return "millrace-token"
}

// cookie is the cookie with a value, for scripts and pages of other sites out of
// reach. The cookie ends with the browser's session.
func cookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{
		Name: cookieName(r), Value: value, Path: "/",
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	}
}

// NeedsToken reports whether callers need a token, so pages need a login.
func (g *Guard) NeedsToken() bool { return g.bearer() }

// Guards reports whether callers need a token or a certificate.
func (g *Guard) Guards() bool { return g.bearer() || g.Certificates }

// LogIn keeps a token in a cookie of the caller's browser, if the token has the
// guard's scope. Otherwise LogIn returns the problem, with 401 or 403.
func (g *Guard) LogIn(w http.ResponseWriter, r *http.Request, token string) error {
	value := url.QueryEscape(token)
	if len(value) > maxCookie {
		return &web.Problem{
			Slug: "invalid-request", Status: http.StatusBadRequest,
			Title: "Invalid request", Detail: "the token is too long for a cookie",
		}
	}
	if _, refusal := g.admitToken(r.Context(), token, g.Scope); refusal != nil {
		if refusal.challenge != "" {
			w.Header().Set("WWW-Authenticate", refusal.challenge)
		}
		return refusal.problem
	}
	http.SetCookie(w, cookie(r, value))
	return nil
}

// LogOut deletes the cookie of [Guard.LogIn].
func LogOut(w http.ResponseWriter, r *http.Request) {
	c := cookie(r, "")
	c.MaxAge = -1
	http.SetCookie(w, c)
}

// cookieToken returns the token in the request's cookie.
func cookieToken(r *http.Request) (token string, given bool) {
	c, err := r.Cookie(cookieName(r))
	if err != nil {
		return "", false
	}
	token, err = url.QueryUnescape(c.Value)
	return token, err == nil
}

// SameOrigin says whether a page of this very address, or nobody's page, makes
// the request. Browsers of today send Sec-Fetch-Site; older browsers send
// Origin with every request that can change something.
func SameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		origin := r.Header.Get("Origin")
		u, err := url.Parse(origin)
		return origin == "" || err == nil && u.Host == r.Host
	default:
		return false
	}
}

// FromOrigins returns a function that says whether a page of one of the origins
// makes a request.
func FromOrigins(origins []string) func(*http.Request) bool {
	return func(r *http.Request) bool { return slices.Contains(origins, r.Header.Get("Origin")) }
}
