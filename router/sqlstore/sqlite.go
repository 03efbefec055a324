package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"golang.org/x/sync/semaphore"
	sqlitedriver "modernc.org/sqlite"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// sqliteReaders is how many can read at the same time.
const sqliteReaders = 8

// sqliteParameters are those of every connection: a writer waits 10 s for
// those of other processes, and "x" is a name, never a text, as in PostgreSQL.
const sqliteParameters = "_busy_timeout=10000&_dqs=0&_error_rc=1"

// sqliteCache is what a writer keeps in memory: 32 MiB of pages. The WAL may
// grow as much between checkpoints, and its file keeps up to 64 MiB then. What
// a statement would undo if it failed is kept in memory, too.
const sqliteCache = "&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(8192)&_pragma=journal_size_limit(67108864)&_pragma=temp_store(memory)"

// sqliteLockRetry is how often a lock file that is taken is tried again.
const sqliteLockRetry = 10 * time.Millisecond

// OpenSQLite opens the store in a SQLite database, and makes the file and its
// folder if they aren't there. Several processes may have it open. It is an
// error if the file can't be opened.
//
// A commit survives the end of the process, but is not forced to the disk
// (WAL, synchronous=NORMAL): after a power cut the last ones may be missing,
// rows and checkpoint together. Nothing is lost by that: the log is the truth,
// and is folded again from the checkpoint.
func OpenSQLite(ctx context.Context, path string) (*Store, error) {
	s, err := openSQLiteFile(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("open SQLite database %s: %w", path, err)
	}
	return s, nil
}

func openSQLiteFile(ctx context.Context, path string) (*Store, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	name := filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/…
	}
	d := sqlite{lockPath: path + ".lock"}
	// Those who turn a new database to WAL at the same time would fail.
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return openSQLite(ctx, d, sqliteDSN(name, sqliteParameters+"&_journal_mode=WAL&_synchronous=NORMAL"))
}

// OpenMemory opens a store that is gone with Close. Only this process has it.
// It holds up to 1 GiB.
func OpenMemory(ctx context.Context) (*Store, error) {
	s, err := openMemory(ctx)
	if err != nil {
		return nil, fmt.Errorf("open database in memory: %w", err)
	}
	return s, nil
}

func openMemory(ctx context.Context) (*Store, error) {
	dsn := sqliteDSN("/"+uuid.NewString(), sqliteParameters+"&vfs=memdb")
	// The database lives as long as a connection to it, and a pool may drop any
	// of its own.
	anchor, err := openPool(ctx, dsn, 1)
	if err != nil {
		return nil, err
	}
	s, err := openSQLite(ctx, sqlite{}, dsn)
	if err != nil {
		return nil, errors.Join(err, anchor.Close())
	}
	s.anchor = anchor
	// Without a WAL readers and writers are in each other's way, and would
	// have to ask again and again.
	s.turns = semaphore.NewWeighted(sqliteReaders)
	return s, nil
}

// openSQLite opens one connection to write, which takes the write lock when a
// transaction begins, so that it never fails halfway, and connections that
// can't write.
func openSQLite(ctx context.Context, d sqlite, dsn string) (*Store, error) {
	write, err := openPool(ctx, dsn+"&_txlock=immediate"+sqliteCache, 1)
	if err != nil {
		return nil, err
	}
	read, err := openPool(ctx, dsn+"&_query_only=1", sqliteReaders)
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	// What an update's statements wait for is over when it has begun.
	write.undisturbed = true
	return &Store{dialect: d, write: write, read: read}, nil
}

func sqliteDSN(path, parameters string) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: parameters}).String()
}

func openPool(ctx context.Context, dsn string, connections int) (*pool, error) {
	connector, err := sqlitedriver.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	p := newPool(sql.OpenDB(connector), connections, true)
	if err := p.PingContext(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// sqlite is the dialect of SQLite.
type sqlite struct {
	// lockPath is the file that Prepare locks, "" if there is nobody else.
	lockPath string
}

func (sqlite) migrations() (goose.Dialect, string) { return goose.DialectSQLite3, "migrations/sqlite" }

func (d sqlite) lock(ctx context.Context) (unlock func(), err error) {
	if d.lockPath == "" {
		return func() {}, nil
	}
	file := flock.New(d.lockPath)
	unlock = func() { _ = file.Close() } // it ends with the process, at the latest
	if _, err := file.TryLockContext(ctx, sqliteLockRetry); err != nil {
		unlock()
		return nil, fmt.Errorf("lock %s: %w", d.lockPath, err)
	}
	return unlock, nil
}

func (d sqlite) tryLock(_ context.Context, name string) (unlock func(), err error) {
	if d.lockPath == "" {
		return func() {}, nil
	}
	path := d.lockPath + "-" + name
	file := flock.New(path)
	locked, err := file.TryLock()
	if err != nil || !locked {
		_ = file.Close()
		if err != nil {
			err = fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, err
	}
	return func() { _ = file.Close() }, nil // it ends with the process, at the latest
}

func (sqlite) typeName(t projection.Type) string {
	switch t {
	case projection.Integer:
		return "INTEGER"
	case projection.Boolean:
		return "BOOLEAN"
	default:
		return "TEXT" // ordered bytewise, unless told otherwise
	}
}

func (sqlite) hasIndex() string {
	return "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = $1"
}

// create makes a table that is its primary key's index: a row is found in one
// step, and those of neighbouring keys are neighbours.
func (d sqlite) create(t *table) string { return t.createTable(d.typeName) + " WITHOUT ROWID" }

func (sqlite) isMissing(err error) bool {
	var failure *sqlitedriver.Error
	// SQLITE_ERROR has no finer code for it.
	return errors.As(err, &failure) &&
		(strings.Contains(failure.Error(), "no such table") || strings.Contains(failure.Error(), "no such column"))
}

func (sqlite) moveText(m *model, whose string) string {
	return "UPDATE checkpoints SET next_offset = $1, digest = $2" +
		" WHERE " + and(m.scope.conditions()) + " AND " + whose + " AND partition = $3 AND next_offset = $4 AND digest = $5"
}

func (sqlite) move(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error) {
	for _, move := range moves {
		result, err := tx.exec(ctx, text, move.To.Next, move.To.Digest[:], move.From.Partition, move.From.Next, move.From.Digest[:])
		if err != nil {
			return nil, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return nil, err
		}
		if n == 0 {
			moved = append(moved, move.From.Partition)
		}
	}
	return moved, nil
}

func (sqlite) hold(*model) string { return "" }

// where takes the keys as one JSON array of arrays: one statement for any
// number of them, and no limit on it.
func (sqlite) where(t *table) string {
	var values []string
	for i := range t.key {
		values = append(values, "value->>"+strconv.Itoa(i))
	}
	in := fmt.Sprintf("(%s) IN (SELECT %s FROM json_each($1))", join(quoted(t.key)), join(values))
	return and(append(t.scope.conditions(), in))
}

// byIndex names it: the planner takes the primary key for as good, but that
// finds a head for each key, and the index of the few that are parked none.
func (sqlite) byIndex(name string) string { return "INDEXED BY " + name }

func (sqlite) keyArgs(_ *table, keys []projection.Row) ([]any, error) {
	array, err := json.Marshal(keys)
	return []any{string(array)}, err
}

// sqlitePutRows are the rows of one INSERT. A statement costs as much as some
// rows do, most of it in the driver.
var sqlitePutRows = []int{64, 8, 1}

func (sqlite) putRows() []int { return sqlitePutRows }

// source has parameters without names: SQLite and its driver look a name up
// in a list, for each of them.
func (sqlite) source(t *table, rows int) string {
	values := append(t.scope.values(), slices.Repeat([]string{"?"}, len(t.columns))...)
	row := "(" + join(values) + ")"
	return "VALUES " + join(slices.Repeat([]string{row}, rows))
}

func (sqlite) put(ctx context.Context, tx *transaction, t *table, rows []projection.Row) error {
	args := make([]any, 0, min(len(rows), sqlitePutRows[0])*len(t.columns))
	for _, put := range t.puts {
		if len(rows) < put.rows {
			continue
		}
		exec := tx.repeat(put.text)
		for ; len(rows) >= put.rows; rows = rows[put.rows:] {
			args = args[:0]
			for _, row := range rows[:put.rows] {
				args = append(args, row...)
			}
			if err := exec(ctx, args); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d sqlite) oneWriter() bool { return d.lockPath != "" }

func (sqlite) writes() *sql.TxOptions { return nil }
func (sqlite) reads() *sql.TxOptions  { return &sql.TxOptions{ReadOnly: true} }
func (sqlite) probe() string          { return "PRAGMA schema_version" }
