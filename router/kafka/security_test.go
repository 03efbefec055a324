package kafka

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/router/kafka/connection"
	"github.com/millrace/millrace/router/kafka/embedded"
	"github.com/millrace/millrace/testing/certs"
)

// refuses checks that the broker refuses a client with this security, and that
// the error says so. A client without the broker's TLS or SASL can't know.
func refuses(t *testing.T, address string, security connection.Security) {
	t.Helper()
	refusesBy(t, nil, address, security)
}

// refusesBy is refuses over connections of near, if not nil.
func refusesBy(t *testing.T, near func(string) net.Conn, address string, security connection.Security) {
	t.Helper()
	k := &Kafka{Brokers: []string{address}, Partitions: partitions, Replication: 1, Security: security, Near: near, Log: quiet}
	err := k.Ping(t.Context())
	if err == nil {
		t.Fatal("the broker accepts the client")
	}
	if (security.TLS != nil || security.Mechanism != "") && !errors.Is(err, connection.ErrRefused) && t.Name() != "TestSecurity/TLS_and_SCRAM-SHA-512/nobody" ||
		errors.Is(err, connection.ErrRefused) && strings.Contains(err.Error(), "run out") {
		t.Errorf("%v is not told as it is", err)
	}
}

func TestSecurity(t *testing.T) {
	authority, other := certs.New(t), certs.New(t)
	trust := func(a *certs.Authority, own ...tls.Certificate) *tls.Config {
		return &tls.Config{RootCAs: a.Pool(), Certificates: own, MinVersion: tls.VersionTLS12}
	}
	server := &tls.Config{Certificates: []tls.Certificate{authority.Pair("localhost")}, MinVersion: tls.VersionTLS12}
	mutual := server.Clone()
	mutual.ClientAuth, mutual.ClientCAs = tls.RequireAndVerifyClientCert, authority.Pool()
	tests := []struct {
		name           string
		broker, client connection.Security
		refused        map[string]connection.Security
	}{
		{
			"TLS", connection.Security{TLS: server}, connection.Security{TLS: trust(authority)},
			map[string]connection.Security{"plain text": {}, "another authority": {TLS: trust(other)}, "another name": {TLS: &tls.Config{
				RootCAs: authority.Pool(), ServerName: "elsewhere.example", MinVersion: tls.VersionTLS12,
			}}},
		},
		{
			"TLS on both sides", connection.Security{TLS: mutual}, connection.Security{TLS: trust(authority, authority.Pair("client"))},
			map[string]connection.Security{"no certificate": {TLS: trust(authority)}, "one of another authority": {TLS: trust(authority, other.Pair("client"))}},
		},
		{
			"TLS and SCRAM-SHA-512", connection.Security{TLS: server, Mechanism: connection.ScramSHA512, User: "millrace", Password: "hunter2"}, connection.Security{TLS: trust(authority), Mechanism: connection.ScramSHA512, User: "millrace", Password: "hunter2"},
			map[string]connection.Security{
				"nobody": {TLS: trust(authority)}, "wrong password": {TLS: trust(authority), Mechanism: connection.ScramSHA512, User: "millrace", Password: "hunter3"},
				"unknown user": {TLS: trust(authority), Mechanism: connection.ScramSHA512, User: "eve", Password: "hunter2"}, "another mechanism": {TLS: trust(authority), Mechanism: connection.ScramSHA256, User: "millrace", Password: "hunter2"},
			},
		},
		{
			"SCRAM-SHA-256 alone", connection.Security{Mechanism: connection.ScramSHA256, User: "millrace", Password: "hunter2"}, connection.Security{Mechanism: connection.ScramSHA256, User: "millrace", Password: "hunter2"},
			map[string]connection.Security{"nobody": {}, "in plain text": {Mechanism: connection.Plain, User: "millrace", Password: "hunter2"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker, err := embedded.Start("localhost:0", t.TempDir(), false, embedded.Security(test.broker), quiet)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = broker.Close() }()
			k := &Kafka{Brokers: []string{broker.Addr()}, Partitions: partitions, Replication: 1, Security: test.client, Log: quiet}
			if _, err := k.EnsureTopics(t.Context()); err != nil {
				t.Error(err)
			}
			k.Near = onlyNear(t, broker)
			if err := k.Ping(t.Context()); err != nil {
				t.Errorf("in the broker's process: %v", err)
			}
			for name, security := range test.refused {
				t.Run(name, func(t *testing.T) {
					refuses(t, broker.Addr(), security)
					refusesBy(t, broker.Dial, broker.Addr(), security)
				})
			}
		})
	}
}

// onlyNear opens connections in memory. A connection over TCP is an error.
func onlyNear(t *testing.T, broker *embedded.Broker) func(string) net.Conn {
	return func(address string) net.Conn {
		conn := broker.Dial(address)
		if conn == nil {
			t.Errorf("no connection in memory to %s", address)
		}
		return conn
	}
}

// PLAIN works with other brokers. The embedded broker refuses PLAIN.
func TestSASLPlain(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.EnableSASL(), kfake.Superuser(connection.Plain, "millrace", "hunter2"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	k := &Kafka{
		Brokers: cluster.ListenAddrs(), Partitions: partitions, Replication: 1, Log: quiet,
		Security: connection.Security{Mechanism: connection.Plain, User: "millrace", Password: "hunter2"},
	}
	if _, err := k.EnsureTopics(t.Context()); err != nil {
		t.Error(err)
	}
	refuses(t, k.Brokers[0], connection.Security{Mechanism: connection.Plain, User: "millrace", Password: "hunter3"})

	dir := t.TempDir()
	if _, err := embedded.Start("localhost:0", dir, false, embedded.Security(k.Security), quiet); !errors.Is(err, embedded.ErrMechanism) {
		t.Errorf("the embedded broker takes PLAIN: %v", err)
	}
	again, err := embedded.Start("localhost:0", dir, false, embedded.Security{}, quiet)
	if err != nil {
		t.Fatalf("the folder stays locked: %v", err)
	}
	_ = again.Close()
}

// A new password counts, not the password in the broker's files.
func TestBrokerForgetsPasswords(t *testing.T) {
	dir := t.TempDir()
	old := connection.Security{Mechanism: connection.ScramSHA512, User: "millrace", Password: "hunter2"}
	broker, err := embedded.Start("localhost:0", dir, false, embedded.Security(old), quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "sasl.json")); err != nil {
		t.Fatalf("no file with logins: %v", err)
	}
	changed := connection.Security{Mechanism: connection.ScramSHA512, User: "millrace", Password: "hunter3"}
	if broker, err = embedded.Start("localhost:0", dir, false, embedded.Security(changed), quiet); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = broker.Close() }()
	k := &Kafka{Brokers: []string{broker.Addr()}, Partitions: partitions, Security: changed, Log: quiet}
	if err := k.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	refuses(t, broker.Addr(), old)
}

// A client reads its authorities and its password again for each connection, and
// the error of a refused client names the user.
func TestSecurityIsRenewed(t *testing.T) {
	t.Parallel()
	first, second := certs.New(t), certs.New(t)
	server := func(a *certs.Authority) *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{a.Pair("127.0.0.1")}, MinVersion: tls.VersionTLS12}
	}
	client := func(a *certs.Authority, password string) *connection.Security {
		return &connection.Security{TLS: &tls.Config{RootCAs: a.Pool(), MinVersion: tls.VersionTLS12}, Mechanism: connection.ScramSHA256, User: "millrace", Password: password}
	}
	dir, address := t.TempDir(), "127.0.0.1:0"
	start := func(a *certs.Authority, password string) *embedded.Broker {
		broker, err := embedded.Start(address, dir, false, embedded.Security{TLS: server(a), Mechanism: connection.ScramSHA256, User: "millrace", Password: password}, quiet)
		if err != nil {
			t.Fatal(err)
		}
		address = broker.Addr()
		return broker
	}
	broker := start(first, "hunter2")
	var now atomic.Pointer[connection.Security]
	now.Store(client(first, "hunter2"))
	k := &Kafka{Brokers: []string{address}, Partitions: partitions, Replication: 1, Log: quiet, Renewed: func() (connection.Security, error) { return *now.Load(), nil }}
	ensureTopics(t, k)
	bus, err := k.EventBus() // one client for the whole test
	if err != nil {
		t.Fatal(err)
	}
	closing(t, bus)
	deliver := func(seq int) {
		t.Helper()
		delivered := make(chan error, 1)
		bus.Append(newRecord(streamIn(1), seq), func(err error) { delivered <- err })
		if err := receive(t, delivered, "delivery"); err != nil {
			t.Error(err)
		}
	}
	deliver(1)
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	broker = start(second, "hunter3")
	defer func() { _ = broker.Close() }()
	for wrong, says := range map[*connection.Security]string{
		client(first, "hunter3"):  "isn't trusted",
		client(second, "hunter2"): "Kafka refuses the user millrace",
	} {
		now.Store(wrong)
		if err := k.Ping(t.Context()); !errors.Is(err, connection.ErrRefused) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: want %s", err, says)
		}
	}
	now.Store(client(second, "hunter3"))
	deliver(2)
}
