package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
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

// sqliteReaders is the number of concurrent readers.
const sqliteReaders = 8

// sqliteParameters are for every connection: "x" is a name, never a text, as in
// PostgreSQL.
const sqliteParameters = "_dqs=0&_error_rc=1"

// sqlitePatience is for readers and writers: a writer waits up to 10 s for
// writers of other processes.
const sqlitePatience = "&_busy_timeout=10000"

// sqliteCache is for the writer: 32 MiB of pages in memory, no checkpoints of
// the WAL within commits (see wal), and statement journals in memory.
const sqliteCache = "&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(0)&_pragma=temp_store(memory)"

// sqliteFile is for a database in a file.
const sqliteFile = "&_journal_mode=WAL&_synchronous=NORMAL"

// sqliteScratch is for a database in a file that nobody needs after a crash: no page
// is written twice, and nothing waits for the disk.
const sqliteScratch = "&_journal_mode=OFF&_synchronous=OFF"

// sqliteLockRetry is the pause between attempts for a lock file.
const sqliteLockRetry = 10 * time.Millisecond

// OpenSQLite opens the store in a SQLite database, and creates the file and its
// folder if missing. Several processes may open the same file. OpenSQLite fails
// if the file can't be opened.
//
// A commit survives the end of the process, but is not forced to the disk (WAL,
// synchronous=NORMAL). After a power cut the last commits may be missing, rows
// and checkpoint together. Nothing is lost: the records are folded again from
// the checkpoint.
func OpenSQLite(ctx context.Context, path string) (*Store, error) {
	s, err := openSQLiteFile(ctx, path, sqliteWAL)
	if err != nil {
		return nil, fmt.Errorf("open SQLite database %s: %w", path, err)
	}
	return s, nil
}

// OpenScratch opens the store in a new SQLite database that is of no use after a
// crash, or after a failed update: SQLite has no journal. Reads wait for updates,
// and updates for reads.
func OpenScratch(ctx context.Context, path string) (*Store, error) {
	name, d, err := sqliteAt(path)
	if err == nil {
		var s *Store
		if s, err = openSQLite(ctx, d, sqliteDSN(name, sqliteParameters+sqlitePatience+sqliteScratch)); err == nil {
			return s, nil
		}
	}
	return nil, fmt.Errorf("open SQLite database %s: %w", path, err)
}

// sqliteAt returns the name and the dialect of a database in a file, and creates the
// file's folder.
func sqliteAt(path string) (name string, d sqlite, err error) {
	if path, err = filepath.Abs(path); err != nil {
		return "", d, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", d, err
	}
	name = filepath.ToSlash(path)
	if !strings.HasPrefix(name, "/") {
		name = "/" + name // C:/…
	}
	return name, sqlite{lockPath: path + ".lock"}, nil
}

func openSQLiteFile(ctx context.Context, path string, limits walLimits) (*Store, error) {
	name, d, err := sqliteAt(path)
	if err != nil {
		return nil, err
	}
	// Two processes that switch a new database to WAL at the same time would
	// fail.
	unlock, err := d.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	s, err := openSQLite(ctx, d, sqliteDSN(name, sqliteParameters+sqlitePatience+sqliteFile))
	if err != nil {
		return nil, err
	}
	s.wal, err = startWAL(sqliteDSN(name, sqliteParameters+sqliteFile+"&_busy_timeout="+walBusy), strings.TrimSuffix(d.lockPath, ".lock")+"-wal", s.write, s.read, limits)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// OpenMemory opens a store in the memory of this process, up to 1 GiB. Close
// deletes all data.
func OpenMemory(ctx context.Context) (*Store, error) {
	s, err := openMemory(ctx)
	if err != nil {
		return nil, fmt.Errorf("open database in memory: %w", err)
	}
	return s, nil
}

func openMemory(ctx context.Context) (*Store, error) {
	dsn := sqliteDSN("/"+uuid.NewString(), sqliteParameters+sqlitePatience+"&vfs=memdb")
	// The database lives as long as any connection. A pool may close each of
	// its own connections.
	anchor, err := openPool(ctx, dsn, 1, itself)
	if err != nil {
		return nil, err
	}
	s, err := openSQLite(ctx, sqlite{}, dsn)
	if err != nil {
		return nil, errors.Join(err, anchor.Close())
	}
	s.anchor = anchor
	// Without a WAL, readers and writers exclude each other, and would have to
	// retry.
	s.permits = semaphore.NewWeighted(sqliteReaders)
	return s, nil
}

// openSQLite opens a connection for writing, and a pool of read-only
// connections. A writing transaction takes the write lock at the beginning, and
// so never fails halfway.
func openSQLite(ctx context.Context, d sqlite, dsn string) (*Store, error) {
	write, err := openPool(ctx, dsn+"&_txlock=immediate"+sqliteCache, 1, func(c driver.Connector) driver.Connector { return writerConnector{c} })
	if err != nil {
		return nil, err
	}
	var read *pool
	read, err = openPool(ctx, dsn+"&_query_only=1", sqliteReaders, func(c driver.Connector) driver.Connector {
		return readerConnector{c, func(text string) bool { return read.allowed(text) }}
	})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	write.direct = map[string]bool{} // after its beginning, an update waits for nothing
	read.direct, read.reads = map[string]bool{}, true
	return &Store{dialect: d, write: write, read: read}, nil
}

func sqliteDSN(path, parameters string) string {
	return (&url.URL{Scheme: "file", Path: path, RawQuery: parameters}).String()
}

// itself is a connector without a wrapper.
func itself(c driver.Connector) driver.Connector { return c }

// openPool opens a pool; wrap may wrap the connector.
func openPool(ctx context.Context, dsn string, connections int, wrap func(driver.Connector) driver.Connector) (*pool, error) {
	connector, err := sqlitedriver.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	p := newPool(sql.OpenDB(wrap(connector)), connections, true)
	if err := p.PingContext(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// sqlite is the dialect of SQLite.
type sqlite struct {
	// lockPath is the lock file of Prepare; "" for a database in memory.
	lockPath string
}

func (sqlite) migrations() (goose.Dialect, string) { return goose.DialectSQLite3, "migrations/sqlite" }

func (d sqlite) lock(ctx context.Context) (unlock func(), err error) {
	if d.lockPath == "" {
		return func() {}, nil
	}
	file := flock.New(d.lockPath)
	unlock = func() { _ = file.Close() } // the lock ends with the process, at the latest
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
	return func() { _ = file.Close() }, nil // the lock ends with the process, at the latest
}

func (sqlite) typeName(t projection.Type) string {
	switch t {
	case projection.Integer:
		return "INTEGER"
	case projection.Boolean:
		return "BOOLEAN"
	default:
		return "TEXT" // ordered bytewise by default
	}
}

func (sqlite) hasIndex() string {
	return "SELECT count(*) FROM sqlite_master WHERE type = 'index' AND name = $1"
}

// create makes a table that is the index of its primary key. So a row is found
// in one step, and rows with neighbouring keys are neighbours.
func (d sqlite) create(t *table) string { return t.createTable(d.typeName) + " WITHOUT ROWID" }

func (sqlite) isMissing(err error) bool {
	var failure *sqlitedriver.Error
	// SQLite has no finer code than SQLITE_ERROR here.
	return errors.As(err, &failure) &&
		(strings.Contains(failure.Error(), "no such table") || strings.Contains(failure.Error(), "no such column"))
}

// moveText has unnamed parameters, as source has.
func (sqlite) moveText(m *model, whose string) string {
	return "UPDATE checkpoints SET next_offset = ?, digest = ?" +
		" WHERE " + and(m.scope.conditions()) + " AND " + whose + " AND partition = ? AND next_offset = ? AND digest = ?"
}

func (sqlite) move(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error) {
	args := make([]any, 5)
	for i := range moves {
		move := &moves[i]
		args[0], args[1] = move.To.Next, move.To.Digest[:]
		args[2], args[3], args[4] = int64(move.From.Partition), move.From.Next, move.From.Digest[:]
		result, err := tx.exec(ctx, text, args...)
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

// moveAtOnceText: there are no turns, because the transaction is the file's only
// writer.
func (sqlite) moveAtOnceText(*model, string) string { return "" }

func (sqlite) settings() string { return "" }

func (sqlite) leaders() int { return 1 }

func (sqlite) hold(*model) string { return "" }

// where takes the keys as one JSON array: one statement for any number of keys.
// A key of several columns is an array.
func (sqlite) where(t *table) string {
	value := "value"
	if len(t.key) > 1 {
		var values []string
		for i := range t.key {
			values = append(values, "value->>"+strconv.Itoa(i))
		}
		value = join(values)
	}
	in := fmt.Sprintf("(%s) IN (SELECT %s FROM json_each(?))", join(quoted(t.key)), value)
	return and(append(t.scope.conditions(), in))
}

// whereOne spares a single key the table of json_each.
func (sqlite) whereOne(t *table) string {
	conditions := t.scope.conditions()
	for _, c := range quoted(t.key) {
		conditions = append(conditions, c+" = ?")
	}
	return and(conditions)
}

// byIndex names the index. The planner rates the primary key as highly, but the
// primary key finds a head for every stream, and the index only the few parked
// streams.
func (sqlite) byIndex(name string) string { return "INDEXED BY " + name }

func (sqlite) keyArgs(t *table, keys []projection.Row) ([]any, error) {
	array := make([]byte, 0, 32*len(keys))
	between := byte('[')
	for _, key := range keys {
		array = append(array, between)
		between = ','
		if text, ok := key[0].(string); ok && len(t.key) == 1 && isPlain(text) {
			array = append(append(append(array, '"'), text...), '"')
			continue
		}
		var value any = key
		if len(t.key) == 1 {
			value = key[0]
		}
		written, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		array = append(array, written...)
	}
	return []any{string(append(array, ']'))}, nil
}

// isPlain says whether a text stands in JSON unchanged.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// sqlitePutRows are the numbers of rows of INSERT statements. A statement costs
// as much as several rows, mostly in the driver, and a prepared statement takes
// memory.
var sqlitePutRows = []int{64, 16, 4, 1}

func (sqlite) putRows() []int { return sqlitePutRows }

// source has unnamed parameters: SQLite and its driver search each named
// parameter in a list.
func (sqlite) source(t *table, rows int) string {
	values := append(t.scope.values(), slices.Repeat([]string{"?"}, len(t.columns))...)
	row := "(" + join(values) + ")"
	return "VALUES " + join(slices.Repeat([]string{row}, rows))
}

var readOnly = &sql.TxOptions{ReadOnly: true}

func (d sqlite) oneWriter() bool { return d.lockPath != "" }

func (sqlite) writes() *sql.TxOptions { return nil }
func (sqlite) reads() *sql.TxOptions  { return readOnly }
func (sqlite) probe() string          { return "PRAGMA schema_version" }
