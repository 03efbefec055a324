package config

import (
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5/pgconn"
)

// format is a kind of string, named by the tag is of a field.
type format struct {
	allowed string
	parse   func(string) (string, bool)
}

var formats = map[string]format{
	"path":      {"must be a path, or empty", func(s string) (string, bool) { return s, isPrintable(s) }},
	"text":      {"must be one line of text, or empty", func(s string) (string, bool) { return s, isPrintable(s) }},
	"folder":    {"must be a path", func(s string) (string, bool) { return s, s != "" && isPrintable(s) }},
	"address":   {"must be host:port, with a port from 0 to 65535", listenAddress},
	"broker":    {"must be host:port, with a port from 1 to 65535", brokerAddress},
	"name":      {"must be the name of a read model", func(s string) (string, bool) { return s, modelName.MatchString(s) }},
	"published": {"must be the name of an aggregate, or aggregate=topic with at most 249 characters out of A-Z, a-z, 0-9, '.', '_' and '-'", publishedTopic},
	"prefix":    {"must be a string of at most 100 characters out of a-z, 0-9, '.', '_' and '-'", topicPrefix},
	"url":       {"must be an http or https URL such as https://api.example.org, without user, query or fragment; or empty", publicURL},
	"peer":      {"must be name=URL such as query-service=http://localhost:3005, with an http or https URL without user, query or fragment", adminPeer},
	"issuer":    {"must be an https URL such as https://login.example.org, or an http one on this machine, without user, query or fragment; or empty", issuerURL},
	"origin":    {"must be an origin such as https://app.example.org", webOrigin},
	"token":     {"must be name:scopes:sha256, with scopes out of commands, queries and operate joined by +, and the token's SHA-256 in hex", hashedToken},
	"postgres":  {"must be a PostgreSQL URL such as postgres://user:password@host:5432/database", postgresURL},
}

var (
	modelName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	hostName  = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	peerName  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	hashed    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}:(commands|queries|operate)(\+(commands|queries|operate))*:[0-9a-f]{64}$`)
	prefix    = regexp.MustCompile(`^[a-z0-9._-]{0,100}$`)
	published = regexp.MustCompile(`^[a-z][A-Za-z0-9-]*(=[A-Za-z0-9._-]{1,249})?$`)
)

func isPrintable(s string) bool { return !strings.ContainsFunc(s, unicode.IsControl) }

// splitAddress splits host:port. The host is a name, an IP address, or empty.
func splitAddress(s string) (host string, port int, ok bool) {
	host, digits, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, false
	}
	port, err = strconv.Atoi(digits)
	if err != nil || strconv.Itoa(port) != digits || port < 0 || port > 65535 {
		return "", 0, false
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" && !hostName.MatchString(host) {
		return "", 0, false
	}
	return host, port, true
}

func listenAddress(s string) (string, bool) {
	_, _, ok := splitAddress(s)
	return s, ok
}

func brokerAddress(s string) (string, bool) {
	host, port, ok := splitAddress(s)
	return s, ok && host != "" && port != 0
}

func topicPrefix(s string) (string, bool) { return s, prefix.MatchString(s) }

func publishedTopic(s string) (string, bool) {
	_, topic, _ := strings.Cut(s, "=")
	return s, published.MatchString(s) && topic != "." && topic != ".."
}

// publicURL drops trailing slashes, because paths are appended.
func publicURL(s string) (string, bool) {
	if s == "" {
		return s, true
	}
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(s, "?#") || u.User != nil {
		return "", false
	}
	return strings.TrimRight(u.String(), "/"), (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

// adminPeer drops trailing slashes of the URL.
func adminPeer(s string) (string, bool) {
	name, at, ok := strings.Cut(s, "=")
	url, fits := publicURL(at)
	return name + "=" + url, ok && peerName.MatchString(name) && url != "" && fits
}

// issuerURL keeps the text as written: tokens name the issuer letter by letter.
func issuerURL(s string) (string, bool) {
	if s == "" {
		return s, true
	}
	u, err := url.Parse(s)
	if err != nil || strings.ContainsAny(s, "?#") || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	return s, u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname())
}

// webOrigin takes origins as browsers send origins (RFC 6454): in lower case,
// without the scheme's default port, without a path. A * would be a pattern.
func webOrigin(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || strings.Contains(s, "*") {
		return "", false
	}
	own := u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443"
	return s, (u.Scheme == "http" || u.Scheme == "https") && !own && s == u.Scheme+"://"+strings.ToLower(u.Host)
}

func hashedToken(s string) (string, bool) { return s, hashed.MatchString(s) }

// postgresURL drops the words of pgx's error, which can quote the password.
func postgresURL(s string) (string, bool) {
	_, err := pgconn.ParseConfig(s)
	return s, err == nil
}
