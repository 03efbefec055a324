package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
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
	// postgresWriters and postgresReaders are the largest numbers of a store's
	// connections for writing and for reading.
	postgresWriters = 8
	postgresReaders = 16
	// postgresConnect limits the time to connect, unless the URL says
	// otherwise.
	postgresConnect = 10 * time.Second
	// postgresClose limits the time to close a connection.
	postgresClose = 5 * time.Second
	// postgresIdle limits how long an update may do nothing: a frozen process
	// must not delay others for long.
	postgresIdle     = "30s"
	postgresHoldIdle = "5min"
	// postgresLockTimeout limits the wait for a lock in a shared transaction.
	postgresLockTimeout = "100ms"
	// postgresLeaders is the largest number of shared transactions at a time.
	postgresLeaders = 1
	// postgresLifetime closes connections to a server that its host name no
	// longer means.
	postgresLifetime = 30 * time.Minute
	// postgresUnused closes connections that are left from a burst: the server
	// has a limited number for all processes.
	postgresUnused = time.Minute
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
		// pgx prepares by itself. The URL's default_query_exec_mode may forbid
		// prepared statements, for a pooler between.
		return newPool(db, connections, false)
	}
	return &Store{dialect: postgres{config}, write: open(postgresWriters), read: open(postgresReaders)}, nil
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

// postgres is the dialect of PostgreSQL.
type postgres struct{ config *pgx.ConnConfig }

func (postgres) migrations() (goose.Dialect, string) {
	return goose.DialectPostgres, "migrations/postgres"
}

// lock uses a new connection, because all connections of the pool may be
// waiting for this lock.
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

// locked runs a query for a lock on a new connection, in a transaction, so that
// a pooler between keeps the connection. The transaction may be idle for any
// time. got is the query's result.
func (d postgres) locked(ctx context.Context, query string) (got bool, unlock func(), err error) {
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return false, nil, err
	}
	unlock = func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgresClose)
		defer cancel()
		_ = conn.Close(ctx) // the server notices a lost connection
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

// moveText first waits for its turn: until no other update of the read model is
// under way. Partitions may share rows, such as a count of all orders. Two
// updates that read such a row at the same time would both write the same new
// count. In READ COMMITTED each statement sees everything that was committed
// before the statement, so the update sees all earlier updates. If a swap
// changed a checkpoint during the wait, PostgreSQL checks the conditions again.
func (postgres) moveText(m *model, whose string) string {
	return "WITH turn AS MATERIALIZED (SELECT " + turn(m) + ", " + postgresUpdateSettings + ")" + moveFrom(m, whose) + " RETURNING partition"
}

// moveAtOnceText takes the turn if no other transaction has it, and the locks of
// the rows and tables after a short wait at most. The result is a row without a
// partition if the turn is taken.
func (postgres) moveAtOnceText(m *model, whose string) string {
	return "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(" + lockKey(m.physical) + ") AS mine," +
		" set_config('lock_timeout', '" + postgresLockTimeout + "', true), " + postgresUpdateSettings + ")," +
		" moved AS (" + moveFrom(m, whose+" AND turn.mine") + " RETURNING partition)" +
		" SELECT partition FROM moved UNION ALL SELECT NULL FROM turn WHERE NOT mine"
}

// moveFrom is the statement that moves checkpoints in a turn.
func moveFrom(m *model, whose string) string {
	return " UPDATE checkpoints SET next_offset = to_offset, digest = to_digest FROM turn," +
		" unnest($1::integer[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[])" +
		" AS move (of_partition, from_offset, from_digest, to_offset, to_digest)" +
		" WHERE " + and(m.scope.conditions()) + " AND " + whose + " AND partition = of_partition AND next_offset = from_offset AND digest = from_digest"
}

// postgresUpdateSettings are the settings of an update's transaction: see
// OpenPostgres and where.
const postgresUpdateSettings = "set_config('synchronous_commit', 'off', true)," +
	" set_config('enable_seqscan', 'off', true)," +
	" set_config('idle_in_transaction_session_timeout', '" + postgresIdle + "', true)"

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
		var partition sql.NullInt32
		if err := rows.Scan(&partition); err != nil {
			return nil, ended(ctx, err)
		}
		if !partition.Valid {
			return nil, errTurnTaken
		}
		delete(left, partition.Int32)
	}
	return slices.Sorted(maps.Keys(left)), ended(ctx, rows.Err())
}

func (d postgres) moveAtOnce(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error) {
	moved, err = d.move(ctx, tx, text, moves)
	var failed *pgconn.PgError
	if errors.As(err, &failed) && failed.Code == "55P03" { // lock_not_available
		err = errTurnTaken
	}
	return moved, err
}

func (postgres) leaders() int { return postgresLeaders }

// turn waits until no other update of the read model is under way. The turn
// lasts as long as the transaction.
func turn(m *model) string {
	return "pg_advisory_xact_lock(" + lockKey(m.physical) + ")"
}

// lockKey is the SQL of an advisory lock's key. Advisory locks are global to a
// database, and another Millrace may use another schema.
func lockKey(name string) string {
	return "hashtextextended('millrace " + name + " ' || coalesce(current_schema(), ''), 0)"
}

// hold may be idle for longer than an update, because a hold reads the log.
func (postgres) hold(m *model) string {
	return "SELECT " + turn(m) + ", set_config('idle_in_transaction_session_timeout', '" + postgresHoldIdle + "', true)"
}

// where takes an array for each column of the key, and finds one row after
// another by the primary key. The planner gets no choice: a plan that a
// connection made for nearly empty tables would later read whole tables.
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

func (postgres) whereOne(*table) string { return "" }

func (postgres) byIndex(string) string { return "" }

func (postgres) keyArgs(t *table, keys []projection.Row) ([]any, error) {
	return byColumn(t.key, keys), nil
}

func (postgres) putRows() []int { return []int{0} }

func (d postgres) source(t *table, _ int) string {
	return fmt.Sprintf("SELECT %s FROM unnest(%s)", join(append(t.scope.values(), "*")), join(d.arrays(t.columns)))
}

// put writes all rows in one statement. Such a statement fails if two rows have
// the same key.
func (postgres) put(ctx context.Context, tx *transaction, t *table, puts []putText, rows []projection.Row) (written int64, err error) {
	result, err := tx.exec(ctx, puts[0].text, byColumn(t.columns, lastOfEach(len(t.key), rows))...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
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

// lastOfEach keeps the last row of each key.
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
