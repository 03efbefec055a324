package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/projections"
)

const (
	// postgresWriters and postgresReaders are how many connections a store
	// has at most, to write and to read.
	postgresWriters = 8
	postgresReaders = 16
	// postgresConnect is how long a new connection may take, where the URL
	// doesn't say.
	postgresConnect = 10 * time.Second
	// postgresLifetime ends connections to a server that is no longer the one
	// behind its name.
	postgresLifetime = 30 * time.Minute
)

// OpenPostgres opens the store in a PostgreSQL database, version 11 or newer,
// by its URL (https://www.postgresql.org/docs/current/libpq-connect.html, with
// pgx's additions). It connects when it is used, so that a server that is away
// is no error here, but only a URL that can't be read. No error has the
// password in it.
//
// Updates don't wait for the disk (synchronous_commit=off): after a crash of
// the server the last ones, of less than a second, may be missing, rows and
// checkpoint together. Nothing is lost by that: the log is the truth, and is
// folded again from the checkpoint.
func OpenPostgres(_ context.Context, rawURL string) (*Store, error) {
	config, err := parsePostgresURL(rawURL)
	if err != nil {
		return nil, fmt.Errorf("the URL of PostgreSQL: %w", err)
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = postgresConnect
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "millrace"
	}
	s := &Store{dialect: postgres{config}, write: stdlib.OpenDB(*config), read: stdlib.OpenDB(*config)}
	limit(s.write, postgresWriters)
	limit(s.read, postgresReaders)
	for _, db := range []*sql.DB{s.write, s.read} {
		db.SetConnMaxLifetime(postgresLifetime)
	}
	return s, nil
}

var errNoPostgresURL = errors.New(
	"can't be read; it should be like postgres://user:password@host:5432/database, special characters in the password as %XX")

func parsePostgresURL(rawURL string) (*pgx.ConnConfig, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errNoPostgresURL // url.Parse quotes what it can't parse
	}
	// An @ without a user before the host: a password with a / in it, say,
	// would be taken for the name of a database, and be told in errors.
	if u.User == nil && strings.Contains(rawURL, "@") {
		return nil, errNoPostgresURL
	}
	config, err := pgx.ParseConfig(rawURL)
	if err == nil {
		return config, nil
	}
	// What is wrong may be told if it is wrong without the secrets too.
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

// postgres is the dialect of PostgreSQL.
type postgres struct{ config *pgx.ConnConfig }

func (postgres) migrations() (goose.Dialect, string) {
	return goose.DialectPostgres, "migrations/postgres"
}

// lock takes a lock that ends with a connection of its own.
func (d postgres) lock(ctx context.Context) (unlock func() error, err error) {
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return nil, err
	}
	unlock = func() error { return conn.Close(context.WithoutCancel(ctx)) }
	// A transaction, so that a pooler between gives it a connection to the
	// server of its own too.
	for _, statement := range []string{"BEGIN", "SELECT pg_advisory_xact_lock(hashtextextended('millrace prepare', 0))"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), unlock())
		}
	}
	return unlock, nil
}

func (postgres) typeName(t projections.Type) string {
	switch t {
	case projections.Integer:
		return "bigint"
	case projections.Boolean:
		return "boolean"
	case digestType:
		return "bytea"
	default:
		return "text"
	}
}

func (postgres) columns() string {
	return `SELECT attname, format_type(atttypid, atttypmod), EXISTS (
			SELECT FROM pg_index WHERE indrelid = attrelid AND indisprimary AND attnum = ANY (indkey))
		FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
		ORDER BY attnum`
}

func (d postgres) create(t *table) string {
	return t.createTable(func(columnType projections.Type) string {
		if columnType == projections.Text {
			return `text COLLATE "C"` // ordered bytewise
		}
		return d.typeName(columnType)
	})
}

func (postgres) isNoTable(err error) bool {
	var failure *pgconn.PgError
	return errors.As(err, &failure) && failure.Code == "42P01" // undefined_table
}

// move first waits until no other update of the read model is under way.
// Partitions may share rows, a count of all users, say: two of them that read
// it at the same time would both count on from there. With READ COMMITTED each
// statement sees what was committed before it, and so all of the updates that
// came before this one.
func (postgres) move(m *model) string {
	return "WITH turn AS MATERIALIZED (SELECT" +
		" pg_advisory_xact_lock(hashtextextended('millrace " + m.name + "_" + strconv.Itoa(liveGeneration) + "', 0))," +
		" set_config('synchronous_commit', 'off', true))" +
		" UPDATE checkpoints SET next_offset = $1, digest = $2 FROM turn" +
		" WHERE " + and(m.scope.conditions()) + " AND partition = $3 AND next_offset = $4 AND digest = $5"
}

// oneOf takes an array for each column of the key.
func (d postgres) oneOf(t *table) string {
	if len(t.key) == 1 {
		return quoted(t.key)[0] + " = ANY (" + join(d.arrays(t.key)) + ")"
	}
	return fmt.Sprintf("(%s) IN (SELECT * FROM unnest(%s))", join(quoted(t.key)), join(d.arrays(t.key)))
}

func (postgres) keyArgs(t *table, keys []projections.Row) ([]any, error) {
	return byColumn(t.key, keys), nil
}

func (d postgres) source(t *table) string {
	return fmt.Sprintf("SELECT %s FROM unnest(%s)", join(append(t.scope.values(), "*")), join(d.arrays(t.columns)))
}

// put puts all of the rows in one statement, which would fail if it had to set
// one of them twice.
func (postgres) put(ctx context.Context, b *batch, t *table, rows []projections.Row) error {
	_, err := b.exec(ctx, t.put, byColumn(t.columns, lastOfEach(len(t.key), rows))...)
	return err
}

// arrays are the parameters for [byColumn].
func (d postgres) arrays(columns []projections.Column) []string {
	var list []string
	for i, c := range columns {
		list = append(list, fmt.Sprintf("$%d::%s[]", i+1, d.typeName(c.Type)))
	}
	return list
}

// byColumn turns rows into an array for each column.
func byColumn(columns []projections.Column, rows []projections.Row) []any {
	arrays := make([]any, len(columns))
	for i, c := range columns {
		switch c.Type {
		case projections.Integer:
			arrays[i] = column[int64](rows, i)
		case projections.Boolean:
			arrays[i] = column[bool](rows, i)
		case digestType:
			arrays[i] = column[[]byte](rows, i)
		default:
			arrays[i] = column[string](rows, i)
		}
	}
	return arrays
}

func column[T any](rows []projections.Row, i int) []T {
	values := make([]T, len(rows))
	for n, row := range rows {
		values[n], _ = row[i].(T) // checked before
	}
	return values
}

// lastOfEach leaves out the rows that a later one with the same key replaces.
func lastOfEach(keyColumns int, rows []projections.Row) []projections.Row {
	at := make(map[[maxKey]any]int, len(rows))
	last := make([]projections.Row, 0, len(rows))
	for _, row := range rows {
		var key [maxKey]any
		copy(key[:], row[:keyColumns])
		if i, ok := at[key]; ok {
			last[i] = row
			continue
		}
		at[key] = len(last)
		last = append(last, row)
	}
	return last
}

func (postgres) writes() *sql.TxOptions { return &sql.TxOptions{Isolation: sql.LevelReadCommitted} }

func (postgres) reads() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (postgres) prepares() bool { return false } // pgx does, unless the URL has default_query_exec_mode
func (postgres) probe() string  { return "SELECT 1" }
