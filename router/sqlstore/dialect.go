package sqlstore

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// dialect is where SQLite and PostgreSQL differ.
type dialect interface {
	// migrations are those of the bookkeeping: goose's name of the dialect,
	// and the folder.
	migrations() (goose.Dialect, string)
	// lock keeps every other Prepare on this database waiting.
	lock(context.Context) (unlock func(), err error)
	// tryLock takes a lock by a name of lower-case letters, digits and dashes,
	// for as long as it takes. unlock is nil if somebody has it.
	tryLock(ctx context.Context, name string) (unlock func(), err error)

	// typeName is the type of a column.
	typeName(projection.Type) string
	// hasIndex counts the indexes of a name: 0 or 1.
	hasIndex() string
	// create makes a table.
	create(*table) string
	// isMissing says whether a statement failed because a table or a column
	// isn't there.
	isMissing(error) bool

	// moveText is a statement that move runs, which moves checkpoints that are
	// where they should be, and of which the further condition holds, and
	// tells of which partitions the others are.
	moveText(m *model, whose string) string
	move(ctx context.Context, tx *transaction, text string, moves []readmodel.Move) (moved []int32, err error)
	// hold keeps the model's updates waiting until the transaction ends; "" if
	// a transaction that writes does so by itself.
	hold(*model) string
	// where is the condition that a row's key is one of those in keyArgs.
	where(*table) string
	keyArgs(*table, []projection.Row) ([]any, error)
	// byIndex, behind a table's name, has its rows found by an index, if that
	// needs saying.
	byIndex(name string) string
	// putRows are the numbers of rows that a table's puts are for, and source
	// what such an INSERT inserts; put runs them.
	putRows() []int
	source(t *table, rows int) string
	put(context.Context, *transaction, *table, []projection.Row) error

	// oneWriter says whether writers of other processes wait without a queue.
	oneWriter() bool
	// writes and reads are the options of the two kinds of transactions.
	writes() *sql.TxOptions
	reads() *sql.TxOptions
	// probe is a query that fails if the database can't be reached.
	probe() string
}
