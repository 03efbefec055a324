package sqlstore

import (
	"crypto/tls"
	"net"
	"strings"
)

// PostgresUnverified reports whether connections by this URL may go to another
// machine without TLS, or to one that doesn't prove which it is: sslmode
// below verify-ca. A URL that can't be read goes nowhere.
func PostgresUnverified(rawURL string) bool {
	config, err := parsePostgresURL(rawURL)
	if err != nil {
		return false
	}
	if unverified(config.Host, config.TLSConfig) {
		return true
	}
	for _, other := range config.Fallbacks {
		if unverified(other.Host, other.TLSConfig) {
			return true
		}
	}
	return false
}

func unverified(host string, config *tls.Config) bool {
	ip := net.ParseIP(host)
	if strings.HasPrefix(host, "/") || host == "localhost" || ip != nil && ip.IsLoopback() {
		return false
	}
	// verify-ca looks at the authority itself, and not at the name.
	return config == nil || config.InsecureSkipVerify && config.VerifyPeerCertificate == nil
}
