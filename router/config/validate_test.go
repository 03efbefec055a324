package config

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRules(t *testing.T) {
	const (
		apart    = ", or insecure: true, for other machines can reach it"
		loopback = "needs tls.cert and one of auth.tokens, auth.jwt.issuer and tls.client_ca" + apart
		broker   = "needs kafka.tls.enabled and kafka.sasl.mechanism" + apart
		sasl     = "kafka.sasl.user=u kafka.sasl.password=p kafka.sasl.mechanism="
		secure   = "tls.cert=c tls.key=k read_api.public_url=https://x "
		digest   = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		alone    = "must be sqlite or postgres, unless query-service and read-api run in one process"
		needsURL = "needs store.postgres.url or store.postgres.url_file"
	)
	tests := []struct {
		name string
		set  string // key=value, by spaces
		want string // key: reason, by lines; empty: fine
	}{
		{"reachable broker", "broker.address=0.0.0.0:9092", "broker.address: " + broker},
		{"reachable command service", "command_service.address=:3001", "command_service.address: " + loopback},
		{"reachable read API", "read_api.address=[::]:3002", "read_api.address: " + loopback},
		{"reachable admin", "roles=query-service admin.address=example.org:3003", "admin.address: " + loopback},
		{"reachable, of another role", "roles=query-service read_api.address=0.0.0.0:3002", ""},
		{"reachable and insecure", "insecure=true admin.address=:3003 read_api.address=0.0.0.0:3002", ""},
		{"reachable, with TLS alone", secure + "admin.address=:3003", "admin.address: needs one of auth.tokens, auth.jwt.issuer and tls.client_ca" + apart},
		{"reachable, with tokens alone", "auth.tokens=a:queries:" + digest + " admin.address=:3003", "admin.address: needs tls.cert" + apart},
		{"reachable, with TLS and tokens", secure + "auth.tokens=a:queries:" + digest + " admin.address=:3003 read_api.address=:3002 command_service.address=:3001", ""},
		{"reachable, with TLS and an issuer", secure + "auth.jwt.issuer=https://x auth.jwt.audience=y admin.address=:3003", ""},
		{"reachable, with certificates on both sides", secure + "tls.client_ca=a admin.address=:3003", ""},
		{"no rule about a wrong token", secure + "auth.tokens=a admin.address=:3003", "auth.tokens: must be a list, none twice, where each must be name:scopes:sha256, with scopes out of commands, queries and operate joined by +, and the token's SHA-256 in hex"},
		{"loopback in other words", "broker.address=127.8.8.8:1 command_service.address=[::1]:2 read_api.address=LOCALHOST:3 admin.address=[::ffff:127.0.0.1]:4", ""},

		{"one address twice", "admin.address=localhost:3001", "admin.address: must not be the address of command_service.address (localhost:3001)"},
		{"localhost in two words", "read_api.address=127.0.0.1:3001", "read_api.address: must not be the address of command_service.address (localhost:3001)"},
		{"everywhere and here", "insecure=true admin.address=:9092", "admin.address: must not be the address of broker.address (localhost:9092)"},
		{"here and everywhere", "insecure=true broker.address=0.0.0.0:3003", "admin.address: must not be the address of broker.address (0.0.0.0:3003)"},
		{"one name in two cases", "insecure=true read_api.address=a.example:1 admin.address=A.example:1", "admin.address: must not be the address of read_api.address (a.example:1)"},
		{"reachable, and twice", "admin.address=:9092", "admin.address: " + loopback + "\nadmin.address: must not be the address of broker.address (localhost:9092)"},
		{"one port on two addresses", "read_api.address=127.0.0.2:3001", ""},
		{"free ports", "broker.address=localhost:0 command_service.address=localhost:0 read_api.address=localhost:0 admin.address=localhost:0", ""},
		{"the address of a role that runs elsewhere", "roles=read-api admin.address=localhost:3001", ""},

		{"a certificate without its key", "tls.cert=c read_api.public_url=https://x", "tls.cert: needs tls.key"},
		{"a key without its certificate", "tls.key=c", "tls.key: needs tls.cert"},
		{"callers' certificates without one's own", "tls.client_ca=c", "tls.client_ca: needs tls.cert"},
		{"a certificate, and clients told of none", "tls.cert=c tls.key=k read_api.public_url=http://x", "read_api.public_url: must be an https URL, for tls.cert is set"},
		{"an issuer for everybody", "auth.jwt.issuer=https://x", "auth.jwt.issuer: needs auth.jwt.audience"},
		{"an audience of nobody", "auth.jwt.audience=x auth.jwt.keys=k", "auth.jwt.audience: needs auth.jwt.issuer\nauth.jwt.keys: needs auth.jwt.issuer"},

		{"reachable broker with TLS alone", secure + "kafka.tls.enabled=true broker.address=:1", "broker.address: needs kafka.sasl.mechanism" + apart},
		{"reachable broker that asks who it is", secure + "kafka.tls.enabled=true broker.address=:1 " + sasl + "SCRAM-SHA-512", ""},
		{"broker without a certificate", "roles=broker kafka.tls.enabled=true", "kafka.tls.enabled: needs tls.cert"},
		{"broker with PLAIN", "roles=broker " + sasl + "PLAIN", "kafka.sasl.mechanism: must be SCRAM-SHA-256 or SCRAM-SHA-512, for the embedded broker knows no other"},
		{"a password for all to see", "roles=read-api kafka.brokers=localhost:1,k:1 " + sasl + "PLAIN", "kafka.sasl.mechanism: needs kafka.tls.enabled, or insecure: true, for the password goes over the network as it is"},
		{"a password for this machine to see", "roles=read-api " + sasl + "PLAIN", ""},
		{"a password that is challenged", "roles=read-api kafka.brokers=k:1 " + sasl + "SCRAM-SHA-256", ""},
		{"a user without a password", "kafka.sasl.mechanism=SCRAM-SHA-256 kafka.sasl.user=u", "kafka.sasl.mechanism: needs kafka.sasl.password"},
		{"a user nobody asks for", "kafka.sasl.user=u kafka.sasl.password=p", "kafka.sasl.user: needs kafka.sasl.mechanism\nkafka.sasl.password: needs kafka.sasl.mechanism"},
		{"TLS to brokers, half of it", "kafka.tls.ca=a kafka.tls.cert=b", "kafka.tls.ca: needs kafka.tls.enabled\nkafka.tls.cert: needs kafka.tls.enabled"},

		{"memory, all in one", "store.driver=memory", ""},
		{"memory, read side in one", "roles=query-service,read-api store.driver=memory", ""},
		{"memory, write side only", "roles=broker,command-service store.driver=memory", ""},
		{"memory, split", "roles=query-service store.driver=memory", "store.driver: " + alone},
		{"memory, split the other way", "roles=broker,read-api store.driver=memory", "store.driver: " + alone},

		{"postgres without URL", "store.driver=postgres", "store.driver: " + needsURL},
		{"postgres without URL, read API", "roles=read-api store.driver=postgres", "store.driver: " + needsURL},
		{"postgres without URL, where it isn't used", "roles=broker,command-service store.driver=postgres", ""},
		{"postgres with URL", "store.driver=postgres store.postgres.url=postgres://u:p@h/d", ""},

		{"public topics", "publish=user,line-item,user=shop.Users_2 kafka.topic_prefix=a.", ""},
		{"a public topic of nobody", "publish=user,none,none=x", "publish: must be one of line-item, user, or one with =topic\npublish: must be one of line-item, user, or one with =topic"},
		{"a public topic twice", "publish=user,line-item=users", "publish: must have a topic of its own: users is there twice"},
		{"the log for all", "publish=user=events,line-item=dead-letters", "publish: must have another topic: events is the router's own\npublish: must have another topic: dead-letters is the router's own"},
		{"another log's name", "publish=user=events kafka.topic_prefix=a.", ""},
		{"the log for all, with a prefix", "publish=user=a.commands kafka.topic_prefix=a.", "publish: must have another topic: a.commands is the router's own"},
		{"a public topic without a name", "publish=user=", "publish: must be a list, none twice, where each must be the name of an aggregate, or aggregate=topic with at most 249 characters out of A-Z, a-z, 0-9, '.', '_' and '-'"},
		{"a public topic in a folder", "publish=user=..", "publish: must be a list, none twice, where each must be the name of an aggregate, or aggregate=topic with at most 249 characters out of A-Z, a-z, 0-9, '.', '_' and '-'"},

		{"no rule about a key that is wrong itself", "roles=none store.driver=postgres admin.address=localhost:3003", "roles: must be a list of one or more, none twice, where each must be one of broker, command-service, query-service, read-api"},
		{"the rules of the right roles beside a wrong role", "roles=command-service,none admin.address=localhost:3001", "roles: must be a list of one or more, none twice, where each must be one of broker, command-service, query-service, read-api\n" +
			"admin.address: must not be the address of command_service.address (localhost:3001)"},
		{"no rule about what is no address", "command_service.address=here admin.address=localhost:3001", "command_service.address: must be host:port, with a port from 0 to 65535"},
		{"no postgres rule about a wrong URL", "store.driver=postgres store.postgres.url=postgres://h:x/d", "store.postgres.url: must be a PostgreSQL URL such as postgres://user:password@host:5432/database"},
		{"no loopback rule about a wrong insecure", "insecure=1 admin.address=:3003", "insecure: must be true or false"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			flags := map[string]string{}
			for pair := range strings.FieldsSeq(test.set) {
				key, value, _ := strings.Cut(pair, "=")
				flags[key] = value
			}
			_, err := Load("", nil, flags, Service{Plurals: map[string]string{"user": "users", "line-item": "line-items"}})
			if got := reasons(err); got != test.want {
				t.Errorf("(-want +got):\n%s", cmp.Diff(test.want, got))
			}
		})
	}
}

// reasons is err as key: reason, a line each.
func reasons(err error) string {
	if err == nil {
		return ""
	}
	var lines []string
	for _, p := range listed(err) {
		lines = append(lines, p.Key+": "+p.Reason)
	}
	return strings.Join(lines, "\n")
}

func TestValues(t *testing.T) {
	tests := []struct {
		key  string
		good []string
		bad  []string
	}{
		{"admin.address", []string{"localhost:0", "localhost:65535", "127.0.0.1:1", "[::1]:1"},
			[]string{"", "localhost", "localhost:65536", "localhost:-1", "localhost:01", "localhost:http", "::1:80", "http://localhost:80", "local host:80", "u@localhost:80", "[x:y]:1"}},
		{"kafka.brokers", []string{"a:1", "a:1,b_c.d-e:65535", "[::1]:9092"}, []string{"", "a", "a:0", ":9092", "a:1,", "a:1,a:1", "kafka://a:1"}},
		{"kafka.partitions", []string{"1", "10000"}, []string{"0", "10001", "-1", "+1", "01", "1.0", "1e3", "1_000", "0x10", " 1", "99999999999999999999"}},
		{"kafka.replication", []string{"1", "32767"}, []string{"0", "32768"}},
		{"kafka.topic_prefix", []string{"", "team-1.users_", strings.Repeat("a", 100)}, []string{"Team", "a b", "a/b", strings.Repeat("a", 101), "a\n"}},
		{"command_service.max_in_flight", []string{"1"}, []string{"0"}},
		{"command_service.publish_timeout", []string{"1ms", "25s"}, []string{"0s", "-1s", "26s", "5", "5 s"}},
		{"query_service.batch_size", []string{"1", "100000"}, []string{"0", "100001"}},
		{"query_service.batch_linger", []string{"0", "0s", "1s"}, []string{"-1ms", "1.1s"}},
		{"telemetry.traces.sample_ratio", []string{"0", "1", "0.5", "1.0", "0.001"}, []string{"", "-1", "1.1", ".5", "1e-3", "NaN", "half"}},
		{"admin.peers", []string{"", "a=http://localhost:3005", "a=https://x,query-service.2=https://y/admin"},
			[]string{"a", "a=", "=https://x", "a b=https://x", "a=ftp://x", "a=https://u:p@x", "a=https://x,a=https://x"}},
		{"read_api.public_url", []string{"", "http://localhost:3002", "https://example.org/api", "http://[::1]:1", "HTTPS://example.org"},
			[]string{"localhost:3002", "/users", "ftp://x", "http://", "http://:80", "http:x", "http://x?", "http://x#", "http://x?a=b", "http://u:p@x", "http://x:port", "http://a b"}},
		{"handlers.outcomes_per_stream", []string{"1", "10000"}, []string{"0", "10001"}},
		{"handlers.memory", []string{"33554432", "1073741824"}, []string{"0", "33554431", "128MiB"}},
		{"data_dir", []string{".", "a b", "/é"}, []string{"", "a\x00", "a\n"}},
		{"store.sqlite.path", []string{"", "x.db"}, []string{"a\tb"}},
		{"log.format", []string{"auto", "text", "json"}, []string{"", "JSON", "logfmt"}},
		{"log.level", []string{"debug", "info", "warn", "error"}, []string{"", "trace"}},
		{"auth.tokens", []string{"", "a:queries:" + strings.Repeat("0a", 32), "a.b_c-D:commands+queries+operate:" + strings.Repeat("ff", 32)},
			[]string{"hunter2", "a:queries", "a::" + strings.Repeat("0a", 32), "a:all:" + strings.Repeat("0a", 32), "a:queries:" + strings.Repeat("0a", 31), "a:queries:" + strings.Repeat("0A", 32), ":queries:" + strings.Repeat("0a", 32)}},
		{"auth.jwt.algorithms", []string{"RS256", "ES256,EdDSA"}, []string{"", "none", "HS256", "rs256"}},
		{"auth.jwt.issuer", []string{""}, []string{"http://example.org", "example.org", "https://x?a=b", "https://u@x"}},
		{"cors.allowed_origins", []string{"", "https://app.example.org", "http://localhost:8080,https://[::1]:1"},
			[]string{"*", "null", "https://app.example.org/", "https://A.example.org", "app.example.org", "https://a:443", "https://*.example.org"}},
		{"store.driver", []string{"sqlite", "memory"}, []string{"", "mysql"}},
		{"store.postgres.url", []string{"", "postgres://h/d", "postgresql://u:p@h:5432/d?sslmode=disable", "host=h user=u"}, []string{"http://h/d", "h", "postgres://h:x/d"}},
		{"insecure", []string{"true", "false"}, []string{"", "yes", "True", "1"}},
		{"roles", []string{"broker", "broker,read-api", "broker, read-api"}, []string{"", "broker,broker", "Broker", "broker read-api"}},
	}
	for _, test := range tests {
		for _, value := range test.good {
			if _, err := Load("", nil, map[string]string{test.key: value}, Service{}); err != nil {
				t.Errorf("%q is allowed: %v", value, err)
			}
		}
		for _, value := range test.bad {
			_, err := Load("", nil, map[string]string{test.key: value}, Service{})
			if !strings.HasPrefix(reasons(err), test.key+": ") {
				t.Errorf("%s: %q is refused as %q", test.key, value, reasons(err))
			}
		}
	}
}

func TestPublicURLKeepsNoTrailingSlash(t *testing.T) {
	for given, want := range map[string]string{
		"http://localhost:3002/":    "http://localhost:3002",
		"https://example.org/api//": "https://example.org/api",
		"https://example.org/a b":   "https://example.org/a%20b",
	} {
		c, err := Load("", nil, map[string]string{"read_api.public_url": given}, Service{})
		if err != nil || c.ReadAPI.PublicURL != want {
			t.Errorf("%s: %s, %v; want %s", given, c.ReadAPI.PublicURL, err, want)
		}
	}
}

// listed are the problems that Load found.
func listed(err error) []Problem {
	var found *Errors
	if !errors.As(err, &found) {
		return nil
	}
	return *found
}
