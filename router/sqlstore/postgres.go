package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

const (
	// postgresWriters and postgresReaders are how many connections a store
	// has at most, to write and to read.
	postgresWriters = 8
	postgresReaders = 16
	// postgresConnect is how long a new connection may take, where the URL
	// doesn't say.
	postgresConnect = 10 * time.Second
	// postgresClose is how long the end of a connection may take.
	postgresClose = 5 * time.Second
	// postgresIdle is how long an update may do nothing. A process that froze
	// mustn't keep the others waiting for long.
	postgresIdle     = "30s"
	postgresHoldIdle = "5min"
	// postgresLifetime ends connections to a server that is no longer the one
	// behind its name.
	postgresLifetime = 30 * time.Minute
	// postgresUnused ends connections that a burst left behind: the server has
	// a limited number, for all processes.
	postgresUnused = time.Minute
)

// OpenPostgres opens the store in a PostgreSQL database, version 12 or newer,
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
	open := func(connections int) *pool {
		db := stdlib.OpenDB(*config)
		db.SetConnMaxLifetime(postgresLifetime)
		db.SetConnMaxIdleTime(postgresUnused)
		// pgx prepares by itself, unless the URL's default_query_exec_mode says
		// otherwise, for the sake of a pooler between.
		return newPool(db, connections, false)
	}
	return &Store{dialect: postgres{config}, write: open(postgresWriters), read: open(postgresReaders)}, nil
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

// lock takes a lock on a connection of its own, and ends with it. Those of the
// pool could all be waiting here.
func (d postgres) lock(ctx context.Context) (unlock func(), err error) {
	_, unlock, err = d.locked(ctx, "SELECT true FROM pg_advisory_xact_lock("+lockKey("prepare")+")")
	return unlock, err
}

func (d postgres) tryLock(ctx context.Context, name string) (unlock func(), err error) {
	got, unlock, err := d.locked(ctx, "SELECT pg_try_advisory_xact_lock("+lockKey(name)+")")
	if err == nil && !got {
		unlock()
		unlock = nil
	}
	return unlock, err
}

// locked is a connection with a transaction that a pooler between keeps on it,
// and that may do nothing for as long as it likes, and what a query for a lock
// said there.
func (d postgres) locked(ctx context.Context, query string) (got bool, unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return false, nil, err
	}
	unlock = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgresClose)
		defer cancel()
		_ = conn.Close(ctx) // the server will see that it is gone
	}
	for _, statement := range []string{"BEGIN", "SET LOCAL idle_in_transaction_session_timeout = 0"} {
		if _, err = conn.Exec(ctx, statement); err != nil {
			break
		}
	}
	if err == nil {
		err = conn.QueryRow(ctx, query).Scan(&got)
	}
	if err != nil {
		unlock()
		return false, nil, fmt.Errorf("lock: %w", err)
	}
	return got, unlock, nil
}

func (postgres) typeName(t projection.Type) string {
	switch t {
	case projection.Integer:
		return "bigint"
	case projection.Boolean:
		return "boolean"
	case digestType:
		return "bytea"
	default:
		return "text"
	}
}

func (postgres) hasIndex() string {
	return "SELECT count(*) FROM pg_class WHERE oid = to_regclass($1)"
}

func (d postgres) create(t *table) string {
	return t.createTable(func(columnType projection.Type) string {
		if columnType == projection.Text {
			return `text COLLATE "C"` // ordered bytewise
		}
		return d.typeName(columnType)
	})
}

func (postgres) isMissing(err error) bool {
	var failure *pgconn.PgError
	// undefined_table, undefined_column
	return errors.As(err, &failure) && (failure.Code == "42P01" || failure.Code == "42703")
}

// moveText first waits until no other update of the read model is under way.
// Partitions may share rows, a count of all orders, say: two of them that read
// it at the same time would both count on from there. With READ COMMITTED each
// statement sees what was committed before it, and so all of the updates that
// came before this one. Of a checkpoint that a swap changed while this waited,
// PostgreSQL looks at the conditions again.
func (postgres) moveText(m *model, whose string) string {
	return "WITH turn AS MATERIALIZED (SELECT" +
		" " + turn(m) + "," +
		" set_config('synchronous_commit', 'off', true)," + // see OpenPostgres
		" set_config('enable_seqscan', 'off', true)," + // see where
		" set_config('idle_in_transaction_session_timeout', '" + postgresIdle + "', true))" +
		" UPDATE checkpoints SET next_offset = to_offset, digest = to_digest FROM turn," +
		" unnest($1::integer[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[])" +
		" AS move (of_partition, from_offset, from_digest, to_offset, to_digest)" +
		" WHERE " + and(m.scope.conditions()) + " AND " + whose + " AND partition = of_partition AND next_offset = from_offset AND digest = from_digest" +
		" RETURNING partition"
}

func (postgres) move(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error) {
	n := len(moves)
	partitions := make([]int32, n)
	fromOffsets, toOffsets := make([]int64, n), make([]int64, n)
	fromDigests, toDigests := make([][]byte, n), make([][]byte, n)
	left := make(map[int32]bool, n)
	for i := range moves {
		from, to := &moves[i].From, &moves[i].To
		partitions[i], left[from.Partition] = from.Partition, true
		fromOffsets[i], fromDigests[i] = from.Next, from.Digest[:]
		toOffsets[i], toDigests[i] = to.Next, to.Digest[:]
	}
	rows, err := tx.query(ctx, text, partitions, fromOffsets, fromDigests, toOffsets, toDigests)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var partition int32
		if err := rows.Scan(&partition); err != nil {
			return nil, ended(ctx, err)
		}
		delete(left, partition)
	}
	return slices.Sorted(maps.Keys(left)), ended(ctx, rows.Err())
}

// turn waits until no other update of the read model is under way, and lasts
// as long as the transaction.
func turn(m *model) string {
	return "pg_advisory_xact_lock(" + lockKey(m.physical) + ")"
}

// lockKey is an advisory lock's, in SQL. They are of the whole database: others
// may have a Millrace in another schema of it.
func lockKey(name string) string {
	return "hashtextextended('millrace " + name + " ' || coalesce(current_schema(), ''), 0)"
}

// hold may do nothing for longer than an update: it waits for the log.
func (postgres) hold(m *model) string {
	return "SELECT " + turn(m) + ", set_config('idle_in_transaction_session_timeout', '" + postgresHoldIdle + "', true)"
}

// where takes an array for each column of the key. It finds one row after the
// other by the primary key, and leaves the planner no choice: it would decide
// once for a connection, mostly when the tables are empty or nearly so, and
// read them as a whole ever after.
func (d postgres) where(t *table) string {
	key := quoted(t.key)
	conditions := t.scope.conditions()
	for _, column := range key {
		conditions = append(conditions, column+" = k."+column)
	}
	return fmt.Sprintf("ctid = ANY (ARRAY (SELECT r.ctid FROM unnest(%s) AS k (%s)"+
		" CROSS JOIN LATERAL (SELECT ctid FROM %s WHERE %s LIMIT 1) AS r))",
		join(d.arrays(t.key)), join(key), t.name, and(conditions))
}

func (postgres) byIndex(string) string { return "" }

func (postgres) keyArgs(t *table, keys []projection.Row) ([]any, error) {
	return byColumn(t.key, keys), nil
}

func (postgres) putRows() []int { return []int{0} }

func (d postgres) source(t *table, _ int) string {
	return fmt.Sprintf("SELECT %s FROM unnest(%s)", join(append(t.scope.values(), "*")), join(d.arrays(t.columns)))
}

// put puts all of the rows in one statement, which would fail if it had to set
// one of them twice.
func (postgres) put(ctx context.Context, tx *transaction, t *table, rows []projection.Row) error {
	_, err := tx.exec(ctx, t.puts[0].text, byColumn(t.columns, lastOfEach(len(t.key), rows))...)
	return err
}

// arrays are the parameters for [byColumn].
func (d postgres) arrays(columns []projection.Column) []string {
	var list []string
	for i, c := range columns {
		list = append(list, fmt.Sprintf("$%d::%s[]", i+1, d.typeName(c.Type)))
	}
	return list
}

// byColumn turns rows into an array for each column.
func byColumn(columns []projection.Column, rows []projection.Row) []any {
	arrays := make([]any, len(columns))
	for i, c := range columns {
		switch c.Type {
		case projection.Integer:
			arrays[i] = column[int64](rows, i)
		case projection.Boolean:
			arrays[i] = column[bool](rows, i)
		case digestType:
			arrays[i] = column[[]byte](rows, i)
		default:
			arrays[i] = column[string](rows, i)
		}
	}
	return arrays
}

func column[T any](rows []projection.Row, i int) []T {
	values := make([]T, len(rows))
	for n, row := range rows {
		values[n], _ = row[i].(T) // checked before
	}
	return values
}

// lastOfEach leaves out the rows that a later one with the same key replaces.
func lastOfEach(keyColumns int, rows []projection.Row) []projection.Row {
	at := make(map[[projection.MaxKey]any]int, len(rows))
	last := make([]projection.Row, 0, len(rows))
	for _, row := range rows {
		var key [projection.MaxKey]any
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

func (postgres) oneWriter() bool { return false }

func (postgres) writes() *sql.TxOptions { return &sql.TxOptions{Isolation: sql.LevelReadCommitted} }

func (postgres) reads() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (postgres) probe() string { return "SELECT 1" }
