package config

import (
	"slices"
	"strings"
)

// checkReachable refuses an address that other machines can reach without TLS
// and authentication, unless insecure is set.
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
			lacks = l.unguardedBroker()
		}
		if lacks != "" {
			l.fail(b.key, "needs "+lacks+", or insecure: true, for other machines can reach it")
		}
	}
}

// unguarded names the settings that the HTTP addresses lack if other machines
// can reach the addresses, "" for none.
func (l *loader) unguarded() string {
	var lacks []string
	if l.ok("tls.cert") && !l.given("tls.cert") {
		lacks = append(lacks, "tls.cert")
	}
	// A mistake in one of the keys is reported first.
	if l.ok("auth.tokens", "auth.tokens_file", "auth.jwt.issuer", "tls.client_ca") &&
		!l.given("auth.tokens") && !l.given("auth.jwt.issuer") && !l.given("tls.client_ca") {
		lacks = append(lacks, "one of auth.tokens, auth.jwt.issuer and tls.client_ca")
	}
	return strings.Join(lacks, " and ")
}

// unguardedBroker names the settings that the embedded broker lacks.
func (l *loader) unguardedBroker() string {
	var lacks []string
	for _, key := range []string{"kafka.tls.enabled", "kafka.sasl.mechanism"} {
		if l.ok(key) && !l.given(key) {
			lacks = append(lacks, key)
		}
	}
	return strings.Join(lacks, " and ")
}

// checkTLS wants a certificate together with a key, and an https URL for
// clients.
func (l *loader) checkTLS() {
	l.needs("tls.cert", "tls.key")
	l.needs("tls.key", "tls.cert")
	l.needs("tls.client_ca", "tls.cert")
	for _, public := range []string{"read_api.public_url", "command_service.public_url", "admin.public_url"} {
		f, _ := fieldNamed(public)
		if l.ok("roles", "tls.cert", public) && l.given(public) && l.given("tls.cert") && !strings.HasPrefix(f.of(&l.config).String(), "https:") {
			l.fail(public, "must be an https URL, for tls.cert is set")
		}
	}
}

// checkAuth wants all settings for JSON Web Tokens, or none.
func (l *loader) checkAuth() {
	l.needs("auth.jwt.issuer", "auth.jwt.audience")
	l.needs("auth.jwt.audience", "auth.jwt.issuer")
	l.needs("auth.jwt.keys", "auth.jwt.issuer")
}

// checkKafka wants passwords kept secret on the way, and the embedded broker to
// have the TLS and SASL of the clients.
func (l *loader) checkKafka() {
	const enabled, mechanism, login, password = "kafka.tls.enabled", "kafka.sasl.mechanism", "kafka.sasl.user", "kafka.sasl.password"
	l.needs("kafka.tls.ca", enabled)
	l.needs("kafka.tls.cert", enabled)
	l.needs("kafka.tls.cert", "kafka.tls.key")
	l.needs("kafka.tls.key", "kafka.tls.cert")
	l.needs("kafka.tls.server_name", enabled)
	l.needs(login, mechanism)
	l.needs(password, mechanism)
	l.needs(mechanism, login)
	if l.ok(password + "_file") {
		l.needs(mechanism, password)
	}
	plain := l.ok(mechanism) && l.config.Kafka.SASL.Mechanism == "PLAIN"
	if l.ok("roles") && l.config.Has(Broker) {
		l.needs(enabled, "tls.cert")
		if plain {
			l.fail(mechanism, "must be SCRAM-SHA-256 or SCRAM-SHA-512, for the embedded broker knows no other")
		}
		return
	}
	if plain && l.ok(enabled, "insecure", "kafka.brokers") && !l.given(enabled) && !l.config.Insecure &&
		slices.ContainsFunc(l.config.Kafka.Brokers, func(address string) bool {
			host, _, _ := splitAddress(address)
			return !isLoopback(host)
		}) {
		l.fail(mechanism, "needs "+enabled+", or insecure: true, for the password goes over the network as it is")
	}
}
