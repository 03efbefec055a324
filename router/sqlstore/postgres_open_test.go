package sqlstore

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/testing/certs"
)

func TestPostgresUnverified(t *testing.T) {
	files := certs.New(t).Files(t.TempDir(), "localhost")
	ca := "&sslrootcert=" + url.QueryEscape(files.CA)
	for rawURL, want := range map[string]bool{
		"postgres://db.example.org/d":                                  true, // prefer
		"postgres://db.example.org/d?sslmode=disable":                  true,
		"postgres://db.example.org/d?sslmode=require":                  true,
		"postgres://db.example.org/d?sslmode=verify-ca" + ca:           false,
		"postgres://db.example.org/d?sslmode=verify-full" + ca:         false,
		"postgres://localhost,db.example.org/d?sslmode=disable":        true,
		"postgres://localhost/d":                                       false,
		"postgres://127.0.0.1/d?sslmode=disable":                       false,
		"postgres:///d?host=/run/postgresql":                           false,
		"postgres://db.example.org/d?sslmode=verify-full&sslrootcert=": false, // the authorities of this machine
		"neither": false,
	} {
		if got := PostgresUnverified(rawURL); got != want {
			t.Errorf("%s: %v", rawURL, got)
		}
	}
}

// With sslmode=verify-full, a server that can't prove its name gets nothing. A
// server that proves its name asks for the password, and refuses the password
// here.
func TestPostgresVerifies(t *testing.T) {
	authority, other := certs.New(t), certs.New(t)
	files := authority.Files(t.TempDir(), "localhost")
	address := refusingPostgres(t, authority.Pair("localhost"))
	elsewhere := refusingPostgres(t, other.Pair("localhost"))
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	ping := func(address string) error {
		store, err := OpenPostgres(t.Context(), "postgres://me:"+password+"@"+address+"/db?sslmode=verify-full&sslrootcert="+url.QueryEscape(files.CA))
		opened(t, store, err)
		return store.Ping(t.Context())
	}
	var refused *pgconn.PgError
	if err := ping("localhost:" + port); !errors.As(err, &refused) || refused.Code != "28P01" {
		t.Errorf("the right server: %v", err)
	}
	var unknown *tls.CertificateVerificationError
	if err := ping(elsewhere); !errors.As(err, &unknown) {
		t.Errorf("one of another authority: %v", err)
	}
	var name x509.HostnameError
	if err := ping("127.0.0.2:" + port); !errors.As(err, &name) {
		t.Errorf("one by another name: %v", err)
	}
}

// refusingPostgres is a server with TLS that refuses every password.
func refusingPostgres(t *testing.T, cert tls.Certificate) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go refusePassword(conn, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// refusePassword speaks the part of the protocol up to the password
// (https://www.postgresql.org/docs/current/protocol-message-formats.html).
func refusePassword(plain net.Conn, config *tls.Config) {
	defer func() { _ = plain.Close() }()
	if _, err := io.ReadFull(plain, make([]byte, 8)); err != nil { // SSLRequest
		return
	}
	if _, err := plain.Write([]byte("S")); err != nil {
		return
	}
	conn := tls.Server(plain, config)
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil { // StartupMessage
		return
	}
	if _, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(length[:]))-4); err != nil {
		return
	}
	body := "SFATAL\x00C28P01\x00Mwrong\x00\x00"
	message := binary.BigEndian.AppendUint32([]byte("E"), uint32(4+len(body)))
	_, _ = conn.Write(append(message, body...))
}
