package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
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
	return hasCode(err, "42P01", "42703") // undefined_table, undefined_column
}

// moveText first waits for its turn: until no other update of the read model is
// under way. Partitions may share rows, such as a count of all orders. Two
// updates that read such a row at the same time would both write the same new
// count. In READ COMMITTED each statement sees everything that was committed
// before the statement, so the update sees all earlier updates. If a swap
// changed a checkpoint during the wait, PostgreSQL checks the conditions again.
func (postgres) moveText(m *model, whose string) string {
	return "WITH turn AS MATERIALIZED (SELECT " + turn(m) + ")" + moveFrom(m, whose) + " RETURNING partition"
}

// moveAtOnceText takes the turn if no other transaction has it. The result is a
// row without a partition if the turn is taken.
func (postgres) moveAtOnceText(m *model, whose string) string {
	return "WITH turn AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(" + lockKey(m.physical) + ") AS mine)," +
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

// The statements at the beginning of a transaction. The settings are an update's:
// see OpenPostgres and where.
const (
	beginPostgres          = "BEGIN ISOLATION LEVEL READ COMMITTED"
	beginPostgresView      = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
	postgresUpdateSettings = "SELECT set_config('synchronous_commit', 'off', true)," +
		" set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)," +
		" set_config('idle_in_transaction_session_timeout', '" + postgresIdle + "', true)"
	// The queries of a view that are known before.
	postgresPlans = "SELECT set_config('enable_seqscan', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)"
	// A shared transaction waits for locks of rows and tables only shortly.
	postgresSharedSettings = postgresUpdateSettings + ", set_config('lock_timeout', '" + postgresLockTimeout + "', true)"
)

func (postgres) settings() string { return postgresUpdateSettings }

func (postgres) move(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error) {
	var m moving
	s := m.statement(text, moves)
	if err := tx.each(ctx, s.text, s.args, s.read); err != nil {
		return nil, err
	}
	return m.moved(), nil
}

// moving is the result of a statement that moves checkpoints.
type moving struct {
	taken bool // another transaction has the turn
	left  map[int32]bool
}

// moved are the partitions of all checkpoints that have moved before.
func (m *moving) moved() []int32 { return slices.Sorted(maps.Keys(m.left)) }

// statement moves checkpoints by moveText or moveAtOnceText.
func (m *moving) statement(text string, moves []readmodel.Move) statement {
	n := len(moves)
	partitions := make([]int32, n)
	fromOffsets, toOffsets := make([]int64, n), make([]int64, n)
	fromDigests, toDigests := make([][]byte, n), make([][]byte, n)
	for i := range moves {
		from, to := &moves[i].From, &moves[i].To
		partitions[i] = from.Partition
		fromOffsets[i], fromDigests[i] = from.Next, from.Digest[:]
		toOffsets[i], toDigests[i] = to.Next, to.Digest[:]
	}
	args := []any{partitions, fromOffsets, fromDigests, toOffsets, toDigests}
	return statement{text: text, args: args, read: func(rows scanner) error {
		m.taken, m.left = false, make(map[int32]bool, n)
		for _, partition := range partitions {
			m.left[partition] = true
		}
		for rows.Next() {
			var partition *int32
			if err := rows.Scan(&partition); err != nil {
				return err
			}
			if m.taken = partition == nil; !m.taken {
				delete(m.left, *partition)
			}
		}
		return rows.Err()
	}}
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
func (postgres) put(ctx context.Context, tx *transaction, t *table, rows []projection.Row) error {
	return tx.write(ctx, len(rows), t.puts[0].text, byColumn(t.columns, lastOfEach(len(t.key), rows)), t.writing)
}

// insertOr is nothing else: the statement fails, and the transaction, because the
// commit is on its way already.
func (postgres) insertOr() string { return "" }

func (postgres) insert(ctx context.Context, tx *transaction, t *table, rows []projection.Row) error {
	return tx.write(ctx, len(rows), t.inserts[0].text, byColumn(t.columns, rows), func(err error) error {
		if hasCode(err, "23505") { // unique_violation
			return fmt.Errorf("%w: %w", readmodel.ErrHeadExists, err)
		}
		return t.writing(err)
	})
}

// hasCode says whether an error is one of the server's with a code.
func hasCode(err error, codes ...string) bool {
	var failed *pgconn.PgError
	return errors.As(err, &failed) && slices.Contains(codes, failed.Code)
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
