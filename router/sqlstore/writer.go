package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// The statements around a transaction of SQLite.
const (
	beginReading = "BEGIN"
	beginWriting = "BEGIN IMMEDIATE"
	commitWrites = "COMMIT"
	undoWrites   = "ROLLBACK"
)

// writerConnector opens connections of SQLite's writer.
type writerConnector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c writerConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := openDirect(ctx, c.Connector)
	if err != nil {
		return nil, err
	}
	return &writerConn{directConn: conn, kept: map[string]any{}}, nil
}

// writerConn is a connection of SQLite's writer.
type writerConn struct {
	*directConn

	// kept is what updates have kept, by generation of a read model. version is
	// SQLite's data_version at the last update, which changes with each commit
	// of another connection.
	kept    map[string]any
	version int64
}

// The methods through which database/sql runs statements. Such a statement may
// write anything, so the connection forgets what updates have kept.

// BeginTx implements [driver.ConnBeginTx].
func (w *writerConn) BeginTx(ctx context.Context, options driver.TxOptions) (driver.Tx, error) {
	clear(w.kept)
	return w.sqliteConn.BeginTx(ctx, options)
}

// PrepareContext implements [driver.ConnPrepareContext].
func (w *writerConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	clear(w.kept)
	return w.sqliteConn.PrepareContext(ctx, text)
}

// ExecContext implements [driver.ExecerContext].
func (w *writerConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	clear(w.kept)
	return w.sqliteConn.ExecContext(ctx, text, args)
}

// QueryContext implements [driver.QueryerContext].
func (w *writerConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	clear(w.kept)
	return w.sqliteConn.QueryContext(ctx, text, args)
}

func (w *writerConn) straight() *directConn { return w.directConn }

// beginDirect begins a transaction of SQLite. No goroutine watches the context:
// the transaction lasts until commit or rollback.
//
// Only updates may keep what updates before have kept.
func (p *pool) beginDirect(ctx context.Context, updates bool) (*transaction, error) {
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &transaction{session: conn, direct: conn, pool: p}
	if p.reads {
		if err := t.control(context.Background(), beginReading); err != nil { // waits for nothing
			t.rollback()
			return nil, err
		}
		return t, nil
	}
	if err := t.control(ctx, beginWriting); err != nil {
		t.rollback() // the statement may have worked in spite of the context's end
		return nil, err
	}
	if err := t.recall(updates); err != nil {
		t.rollback()
		return nil, err
	}
	return t, nil
}

// raw calls fn with the connection.
func (t *transaction) raw(fn func(*directConn) error) error {
	return t.direct.Raw(func(conn any) error {
		return fn(conn.(interface{ straight() *directConn }).straight()) //nolint:errcheck // the pool's own
	})
}

// control runs a statement around a transaction.
func (t *transaction) control(ctx context.Context, text string) error {
	return t.raw(func(conn *directConn) error {
		_, err := conn.exec(ctx, text, nil)
		return err
	})
}

// execDirect runs a prepared statement.
func (t *transaction) execDirect(text string, args []any) (result sql.Result, err error) {
	err = t.raw(func(conn *directConn) (err error) {
		result, err = conn.exec(context.Background(), text, args)
		return err
	})
	return result, err
}

// commitDirect ends a transaction of SQLite's writer.
func (t *transaction) commitDirect() error {
	if t.ended {
		return sql.ErrTxDone
	}
	if err := t.control(context.Background(), commitWrites); err != nil {
		t.rollback()
		return err
	}
	t.keepAll()
	t.ended = true
	return t.direct.Close() // back to the pool
}

// rollbackDirect undoes a transaction of SQLite, unless the transaction has
// ended. A connection on which nothing can be undone is closed, so that the
// connection is in no transaction.
func (t *transaction) rollbackDirect() {
	if t.ended {
		return
	}
	t.ended = true
	if t.forget != nil {
		t.forget() // closes rows, which keep the connection
	}
	if err := t.control(context.Background(), undoWrites); err != nil {
		_ = t.direct.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.direct.Close() // back to the pool, unless closed
}

func (sqlite) insertOr() string { return "NOTHING" }

func (d sqlite) put(ctx context.Context, tx *transaction, t *table, rows []projection.Row) error {
	_, err := d.run(ctx, tx, t, t.puts, rows)
	return err
}

func (d sqlite) insert(ctx context.Context, tx *transaction, t *table, rows []projection.Row) error {
	written, err := d.run(ctx, tx, t, t.inserts, rows)
	if err == nil && written < int64(len(rows)) {
		err = readmodel.ErrHeadExists
	}
	return err
}

// run runs INSERTs, and returns the number of rows written.
func (sqlite) run(ctx context.Context, tx *transaction, t *table, puts []putText, rows []projection.Row) (written int64, err error) {
	args := slices.Grow(tx.room.args[:0], min(len(rows), sqlitePutRows[0])*len(t.columns))
	tx.room.args = args
	for _, put := range puts {
		for ; len(rows) >= put.rows; rows = rows[put.rows:] {
			args = args[:0]
			for _, row := range rows[:put.rows] {
				args = append(args, row...)
			}
			result, err := tx.exec(ctx, put.text, args...)
			if err != nil {
				return 0, t.writing(err)
			}
			n, err := result.RowsAffected()
			if err != nil {
				return 0, t.writing(err)
			}
			written += n
		}
	}
	return written, nil
}
