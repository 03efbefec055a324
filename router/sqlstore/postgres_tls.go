package sqlstore

import (
	"crypto/tls"
	"net"
	"strings"
)

// PostgresUnverified says whether connections by this URL may go to another
// machine without TLS, or without a verified certificate: sslmode below
// verify-ca. The result is false for a malformed URL.
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
	// verify-ca verifies the authority only, not the host name
	return config == nil || config.InsecureSkipVerify && config.VerifyPeerCertificate == nil
}
