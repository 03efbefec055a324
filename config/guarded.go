package config

import "strings"

// checkReachable keeps a process that anybody could talk to on its own
// machine, unless told otherwise.
func (l *loader) checkReachable(bindings []binding) {
	if l.config.Insecure || !l.ok("insecure") {
		return
	}
	for _, b := range bindings {
		if host, _, _ := splitAddress(b.address); isLoopback(host) {
			continue
		}
		lacks := l.unguarded()
		if b.key == "broker.address" {
			lacks = "a loopback address such as localhost"
		}
		if lacks != "" {
			l.fail(b.key, "needs "+lacks+", or insecure: true, for other machines can reach it")
		}
	}
}

// unguarded is what the HTTP addresses lack when others can reach them, "" for
// nothing.
func (l *loader) unguarded() string {
	var lacks []string
	if l.ok("tls.cert") && !l.given("tls.cert") {
		lacks = append(lacks, "tls.cert")
	}
	// Where one of them is wrong, that comes first.
	if l.ok("auth.tokens", "auth.tokens_file", "auth.jwt.issuer", "tls.client_ca") &&
		!l.given("auth.tokens") && !l.given("auth.jwt.issuer") && !l.given("tls.client_ca") {
		lacks = append(lacks, "one of auth.tokens, auth.jwt.issuer and tls.client_ca")
	}
	return strings.Join(lacks, " and ")
}

// checkTLS wants a certificate with its key, and clients told of it.
func (l *loader) checkTLS() {
	l.needs("tls.cert", "tls.key")
	l.needs("tls.key", "tls.cert")
	l.needs("tls.client_ca", "tls.cert")
	const public = "read_api.public_url"
	if l.ok("roles", "tls.cert", public) && l.config.Has(ReadAPI) && l.given("tls.cert") && !strings.HasPrefix(l.config.ReadAPI.PublicURL, "https:") {
		l.fail(public, "must be an https URL, for tls.cert is set")
	}
}

// checkAuth wants all that verifies a JSON Web Token, or nothing.
func (l *loader) checkAuth() {
	l.needs("auth.jwt.issuer", "auth.jwt.audience")
	l.needs("auth.jwt.audience", "auth.jwt.issuer")
	l.needs("auth.jwt.keys", "auth.jwt.issuer")
}
