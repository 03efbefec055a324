package config

import (
	"net/netip"
	"slices"
	"strings"
)

// validate checks the rules between keys. A rule is left out if one of the keys
// has a problem already.
func (l *loader) validate() {
	bindings := l.bindings()
	l.checkReachable(bindings)
	l.checkClashes(bindings)
	l.checkTLS()
	l.checkAuth()
	l.checkKafka()
	l.checkStore()
	l.checkReadModels()
	l.checkPublish()
}

// ok reports whether nothing is wrong with the keys.
func (l *loader) ok(keys ...string) bool {
	for _, key := range keys {
		if l.failed[key] {
			return false
		}
	}
	return true
}

// given reports whether a key is set whose default is empty or off.
func (l *loader) given(key string) bool {
	f, _ := fieldNamed(key)
	switch text(f.of(&l.config)) {
	case "", "false", SASLOff:
		return false
	}
	return true
}

// needs refuses a key that is given without the other key.
func (l *loader) needs(key, other string) {
	if l.ok(key, other) && l.given(key) && !l.given(other) {
		l.fail(key, "needs "+other)
	}
}

// binding is an address on which this process listens.
type binding struct{ key, address string }

// bindings are the addresses of the roles here. Wrong addresses are left out.
func (l *loader) bindings() []binding {
	var all []binding // of the right roles, if some are wrong
	for _, b := range []struct {
		runs bool
		binding
	}{
		{l.config.Has(Broker), binding{"broker.address", l.config.Broker.Address}},
		{l.config.Has(CommandService), binding{"command_service.address", l.config.CommandService.Address}},
		{l.config.Has(ReadAPI), binding{"read_api.address", l.config.ReadAPI.Address}},
		{true, binding{"admin.address", l.config.Admin.Address}},
	} {
		if b.runs && l.ok(b.key) {
			all = append(all, b.binding)
		}
	}
	return all
}

func (l *loader) checkClashes(bindings []binding) {
	for i, b := range bindings {
		for _, other := range bindings[:i] {
			if clash(b.address, other.address) {
				l.fail(b.key, "must not be the address of "+other.key+" ("+other.address+")")
				break
			}
		}
	}
}

func (l *loader) checkStore() {
	const url = "store.postgres.url"
	query, read := l.config.Has(QueryService), l.config.Has(ReadAPI)
	if !l.ok("store.driver") || !query && !read {
		return
	}
	switch store := l.config.Store; store.Driver {
	case Memory:
		if query != read && l.ok("roles") {
			l.fail("store.driver", "must be sqlite or postgres, unless query-service and read-api run in one process")
		}
	case Postgres:
		if store.Postgres.URL == "" && l.ok(url, url+"_file") {
			l.fail("store.driver", "needs "+url+" or "+url+"_file")
		}
	}
}

// checkReadModels wants names of existing read models.
func (l *loader) checkReadModels() {
	const key = "query_service.read_models"
	if !l.ok(key) {
		return
	}
	for _, name := range l.config.QueryService.ReadModels {
		if !slices.Contains(l.service.ReadModels, name) {
			l.add(Problem{Key: key, Value: quoted(name), Source: l.sourceOf(key), Reason: "must be one of " + strings.Join(l.service.ReadModels, ", ")})
		}
	}
}

// isLoopback takes no name but localhost: another name may resolve to any
// address.
func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.IsLoopback()
}

// clash reports whether two listeners can't have both addresses.
func clash(a, b string) bool {
	hostA, portA, _ := splitAddress(a)
	hostB, portB, _ := splitAddress(b)
	if portA != portB || portA == 0 {
		return false
	}
	return everywhere(hostA) || everywhere(hostB) || strings.EqualFold(hostA, hostB) ||
		isLocalhost(hostA) && isLocalhost(hostB)
}

func everywhere(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// isLocalhost says whether a host is localhost on most machines.
func isLocalhost(host string) bool {
	return strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "::1"
}
