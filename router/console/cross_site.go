package console

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/web"
	"github.com/millrace/millrace/router/web/guard"
)

// Open says whether a request of the admin address needs no token: the page and
// its files have no data, and login comes before the token.
func Open(r *http.Request) bool {
	return r.URL.Path == "/" || r.URL.Path == sessionPath || strings.HasPrefix(r.URL.Path, assetsPath)
}

// Protect refuses requests to the page and to the API that a page of another
// site or of another address makes (403), with or without a token. Protect goes
// in front of the guard.
func (c *Console) Protect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ours := strings.HasPrefix(r.URL.Path, "/api/")
		switch {
		case !ours && !Open(r):
		case !c.knows(r.Host):
			// Another name can be the name of another site that points here
			// (DNS rebinding): a page of that site would be a page of this address.
			(&web.Problem{
				Slug: "unknown-host", Status: http.StatusForbidden,
				Title: "Unknown host", Detail: "the admin address has another name; admin.public_url adds one",
			}).ServeHTTP(w, r)
			return
		case ours && !guard.SameOrigin(r):
			(&web.Problem{
				Slug: "cross-site", Status: http.StatusForbidden,
				Title: "Cross-site request", Detail: "only pages of this very address may call the API",
			}).ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// knows says whether a header Host names this address: an IP address, localhost,
// or a name of Hosts.
func (c *Console) knows(host string) bool {
	if len(c.Hosts) == 0 {
		return true
	}
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	_, err := netip.ParseAddr(name)
	return err == nil || name == "localhost" || strings.HasSuffix(name, ".localhost") || slices.Contains(c.Hosts, name)
}
