package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/millrace/millrace/router/projection"
)

// The statements around a transaction of SQLite's writer.
const (
	beginWriting = "BEGIN IMMEDIATE"
	commitWrites = "COMMIT"
	undoWrites   = "ROLLBACK"
)

// writerConnector opens connections of SQLite's writer.
type writerConnector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c writerConnector) Connect(ctx context.Context) (driver.Conn, error) {
	opened, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver of SQLite lacks methods"), opened.Close())
	}
	return &writerConn{sqliteConn: conn, statements: map[string]driver.Stmt{}, kept: map[string]any{}}, nil
}

// sqliteConn has the methods of the driver's connection that database/sql uses.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// writerConn is a connection of SQLite's writer. The statements of updates go to
// the driver past database/sql, which costs as much as SQLite does for a row.
type writerConn struct {
	sqliteConn
	statements map[string]driver.Stmt // prepared, by text
	// args and values are room for the arguments of a statement, and for the
	// values of a row.
	args   []driver.NamedValue
	values []driver.Value

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

// Close implements [driver.Conn].
func (w *writerConn) Close() error {
	var errs []error
	for _, stmt := range w.statements {
		errs = append(errs, stmt.Close())
	}
	clear(w.statements)
	return errors.Join(append(errs, w.sqliteConn.Close())...)
}

// statement returns a prepared statement. Each statement is prepared once.
func (w *writerConn) statement(text string) (driver.Stmt, error) {
	if stmt := w.statements[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := w.sqliteConn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	w.statements[text] = stmt
	return stmt, nil
}

// named returns arguments in the driver's form.
func (w *writerConn) named(args []any) ([]driver.NamedValue, error) {
	w.args = w.args[:0]
	for i, arg := range args {
		switch arg.(type) {
		case string, int64, bool, []byte:
		default:
			value, err := driver.DefaultParameterConverter.ConvertValue(arg)
			if err != nil {
				return nil, err
			}
			arg = value
		}
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return w.args, nil
}

// exec runs a statement.
func (w *writerConn) exec(ctx context.Context, text string, args []any) (driver.Result, error) {
	stmt, err := w.statement(text)
	if err != nil {
		return nil, err
	}
	named, err := w.named(args)
	if err != nil {
		return nil, err
	}
	return stmt.(driver.StmtExecContext).ExecContext(ctx, named) //nolint:errcheck // the driver's statements have the method
}

// rows runs a query for rows with all columns of a table.
func (w *writerConn) rows(text string, args []any, t *table) (all []projection.Row, err error) {
	stmt, err := w.statement(text)
	if err != nil {
		return nil, err
	}
	named, err := w.named(args)
	if err != nil {
		return nil, err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), named) //nolint:errcheck // the driver's statements have the method
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if w.values = w.values[:0]; cap(w.values) < len(t.columns) {
		w.values = make([]driver.Value, 0, len(t.columns))
	}
	values := w.values[:len(t.columns)]
	for {
		if err := rows.Next(values); err != nil {
			if errors.Is(err, io.EOF) {
				return all, nil
			}
			return nil, err
		}
		row := make(projection.Row, len(values))
		for i, value := range values {
			row[i] = value
		}
		t.restore(row)
		all = append(all, row)
	}
}

// beginDirect begins a transaction of SQLite's writer. No goroutine watches the
// context: the transaction lasts until commit or Rollback.
//
// Only updates may keep what updates before have kept.
func (p *pool) beginDirect(ctx context.Context, updates bool) (*transaction, error) {
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	t := &transaction{session: conn, direct: conn, pool: p}
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

// control runs a statement around a transaction.
func (t *transaction) control(ctx context.Context, text string) error {
	return t.direct.Raw(func(conn any) error {
		_, err := conn.(*writerConn).exec(ctx, text, nil) //nolint:errcheck // the pool's own
		return err
	})
}

// execDirect runs a prepared statement.
func (t *transaction) execDirect(text string, args []any) (result sql.Result, err error) {
	err = t.direct.Raw(func(conn any) (err error) {
		result, err = conn.(*writerConn).exec(context.Background(), text, args) //nolint:errcheck // the pool's own
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

// rollbackDirect undoes a transaction of SQLite's writer, unless the transaction
// has ended. A connection on which nothing can be undone is closed, so that the
// connection is in no transaction.
func (t *transaction) rollbackDirect() {
	if t.ended {
		return
	}
	t.ended = true
	if err := t.control(context.Background(), undoWrites); err != nil {
		_ = t.direct.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = t.direct.Close() // back to the pool, unless closed
}
