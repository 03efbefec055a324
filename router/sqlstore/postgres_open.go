package sqlstore

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// OpenPostgres opens the store in a PostgreSQL database, version 12 or newer.
// The URL is as libpq's
// (https://www.postgresql.org/docs/current/libpq-connect.html), with the
// additions of pgx. The store connects at its first use, so only a malformed
// URL is an error here. No error contains the password.
//
// Updates don't wait for the disk (synchronous_commit=off). After a crash of
// the server the updates of less than the last second may be missing, rows and
// checkpoint together. Nothing is lost: the records are folded again from the
// checkpoint.
func OpenPostgres(_ context.Context, rawURL string) (*Store, error) {
	config, err := parsePostgresURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the URL of PostgreSQL: %w", err)
	}
	return openPostgres(config), nil
}

func openPostgres(config *pgx.ConnConfig) *Store {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = postgresConnect
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "millrace"
	}
	open := func(connections int) *pool {
		db := sql.OpenDB(postgresConnector{stdlib.GetConnector(*config)})
		db.SetConnMaxLifetime(postgresLifetime)
		db.SetConnMaxIdleTime(postgresUnused)
		// pgx prepares by itself. The URL's default_query_exec_mode may forbid
		// prepared statements, for a pooler between.
		p := newPool(db, connections, false)
		p.pipelines = true
		return p
	}
	s := &Store{dialect: postgres{config}, write: open(postgresWriters), read: open(postgresReaders)}
	s.read.reads = true
	return s
}

var errNoPostgresURL = errors.New(
	"can't be read; it should be like postgres://user:password@host:5432/database, special characters in the password as %XX")

func parsePostgresURL(rawURL string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errNoPostgresURL // url.Parse quotes its input
	}
	// An @ without a user before the host: the password may contain a /, and
	// would be taken for a database name, which errors quote.
	if u.User == nil && strings.Contains(rawURL, "@") {
		return nil, errNoPostgresURL
	}
	config, err := pgx.ParseConfig(rawURL)
	if err == nil {
		return config, nil
	}
	// An error without the secrets may be reported.
	u.User = url.User(u.User.Username())
	query := u.Query()
	query.Del("password")
	query.Del("sslpassword")
	u.RawQuery = query.Encode()
	if _, err := pgx.ParseConfig(u.String()); err != nil {
		return nil, err
	}
	return nil, errNoPostgresURL
}

// PostgresPlace is host, port and database of a URL, for people.
func PostgresPlace(rawURL string) string {
	config, err := parsePostgresURL(rawURL)
	if err != nil {
		return "at a URL that can't be read"
	}
	return fmt.Sprintf("database %s on %s", config.Database, net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))))
}

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

// ErrPooler is returned if a pooler between Millrace and PostgreSQL, such as
// PgBouncer with pool_mode transaction, loses prepared statements.
var ErrPooler = errors.New("a pooler between here and PostgreSQL keeps no prepared statements (PgBouncer, pool_mode=transaction): " +
	"add default_query_exec_mode=exec to the URL in store.postgres.url")

// pooled gives the errors of lost prepared statements the remedy. PostgreSQL
// reports a statement that is there already (42P05) or is not there (26000).
func pooled(err error) error {
	if err == nil {
		return nil
	}
	var failed *pgconn.PgError
	if errors.As(err, &failed) && (failed.Code == "42P05" || failed.Code == "26000") && !errors.Is(err, ErrPooler) {
		return fmt.Errorf("%w: %w", ErrPooler, err)
	}
	return err
}
