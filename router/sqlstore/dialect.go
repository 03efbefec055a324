package sqlstore

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// dialect is the part of the store that differs between SQLite and PostgreSQL.
type dialect interface {
	// migrations returns goose's name of the dialect, and the folder of the
	// migrations of the bookkeeping tables.
	migrations() (goose.Dialect, string)
	// lock keeps every other Prepare on this database waiting.
	lock(context.Context) (unlock func(), err error)
	// tryLock takes a lock named by lower-case letters, digits and dashes,
	// until unlock. If another process has the lock, unlock is nil.
	tryLock(ctx context.Context, name string) (unlock func(), err error)

	// typeName is the type of a column.
	typeName(projection.Type) string
	// hasIndex is a query that counts the indexes with a name: 0 or 1.
	hasIndex() string
	// create is a statement that creates a table.
	create(*table) string
	// isMissing says whether a statement failed because a table or a column
	// doesn't exist.
	isMissing(error) bool

	// moveText is the statement of move. whose is a further condition on the
	// checkpoints. move moves the checkpoints that are at their From, and
	// returns the partitions of all other checkpoints.
	moveText(m *model, whose string) string
	move(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error)
	// moveAtOnceText is moveText for a shared transaction of PostgreSQL, which
	// doesn't wait for the turn of the read model.
	moveAtOnceText(m *model, whose string) string
	// settings is a statement before the moves in a transaction of writes, "" for
	// none. Updates have the settings from their beginning.
	settings() string
	// leaders is the largest number of shared transactions at a time.
	leaders() int
	// hold is a statement that keeps the model's updates waiting until the end
	// of the transaction; "" if every writing transaction does.
	hold(*model) string
	// where is a condition for the rows with the keys in keyArgs.
	where(*table) string
	// whereOne is a condition for the row with a key, whose values are the
	// arguments; "" if where does as well for one key.
	whereOne(*table) string
	keyArgs(*table, []projection.Row) ([]any, error)
	// byIndex follows a table's name in a query, and makes the database use an
	// index; "" if there is no need.
	byIndex(name string) string
	// putRows are the numbers of rows for which a table has an INSERT. source
	// is the source of the rows in such an INSERT. put runs the statements of
	// table.puts. insert runs those of table.inserts, which have insertOr for keys
	// that are there; the error is then a [readmodel.ErrHeadExists].
	putRows() []int
	source(t *table, rows int) string
	put(context.Context, *transaction, *table, []projection.Row) error
	insertOr() string
	insert(context.Context, *transaction, *table, []projection.Row) error

	// oneWriter says whether writers of other processes wait without a queue.
	oneWriter() bool
	// writes and reads are the options of writing and of reading transactions.
	writes() *sql.TxOptions
	reads() *sql.TxOptions
	// probe is a query that fails if the database can't be reached.
	probe() string
}
