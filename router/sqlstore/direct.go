package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/millrace/millrace/router/projection"
)

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

// directConn is a connection of SQLite whose statements go to the driver past
// database/sql, which costs as much as SQLite does for a row.
type directConn struct {
	sqliteConn
	statements map[string]driver.Stmt // prepared, by text
	// args and values are room for the arguments of a statement, and for the
	// values of a row.
	args   []driver.NamedValue
	values []driver.Value
}

// openDirect opens a connection.
func openDirect(ctx context.Context, c driver.Connector) (*directConn, error) {
	opened, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	conn, ok := opened.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("the driver of SQLite lacks methods"), opened.Close())
	}
	return &directConn{sqliteConn: conn, statements: map[string]driver.Stmt{}}, nil
}

// Close implements [driver.Conn].
func (d *directConn) Close() error {
	var errs []error
	for _, stmt := range d.statements {
		errs = append(errs, stmt.Close())
	}
	clear(d.statements)
	return errors.Join(append(errs, d.sqliteConn.Close())...)
}

// statement returns a prepared statement. Each statement is prepared once.
func (d *directConn) statement(text string) (driver.Stmt, error) {
	if stmt := d.statements[text]; stmt != nil {
		return stmt, nil
	}
	stmt, err := d.sqliteConn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	d.statements[text] = stmt
	return stmt, nil
}

// named returns arguments in the driver's form.
func (d *directConn) named(args []any) ([]driver.NamedValue, error) {
	d.args = d.args[:0]
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
		d.args = append(d.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return d.args, nil
}

// exec runs a statement.
func (d *directConn) exec(ctx context.Context, text string, args []any) (driver.Result, error) {
	stmt, err := d.statement(text)
	if err != nil {
		return nil, err
	}
	named, err := d.named(args)
	if err != nil {
		return nil, err
	}
	return stmt.(driver.StmtExecContext).ExecContext(ctx, named) //nolint:errcheck // the driver's statements have the method
}

// each runs a query, and calls fn with the values of each row. The next row has
// the same memory.
func (d *directConn) each(text string, args []any, columns int, fn func([]driver.Value) error) (err error) {
	stmt, err := d.statement(text)
	if err != nil {
		return err
	}
	named, err := d.named(args)
	if err != nil {
		return err
	}
	rows, err := stmt.(driver.StmtQueryContext).QueryContext(context.Background(), named) //nolint:errcheck // the driver's statements have the method
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if d.values = d.values[:0]; cap(d.values) < columns {
		d.values = make([]driver.Value, 0, columns)
	}
	values := d.values[:columns]
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := fn(values); err != nil {
			return err
		}
	}
}

// rows runs a query for rows with all columns of a table.
func (d *directConn) rows(text string, args []any, t *table) (all []projection.Row, err error) {
	err = d.each(text, args, len(t.columns), func(values []driver.Value) error {
		row := make(projection.Row, len(values))
		for i, value := range values {
			row[i] = value
		}
		t.restore(row)
		all = append(all, row)
		return nil
	})
	return all, err
}

// readerConnector opens connections of SQLite's readers.
type readerConnector struct {
	driver.Connector
	prepares func(text string) bool // whether connections prepare a query
}

// Connect implements [driver.Connector].
func (c readerConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := openDirect(ctx, c.Connector)
	if err != nil {
		return nil, err
	}
	return &readerConn{conn, c.prepares}, nil
}

// readerConn is a connection of SQLite's readers.
type readerConn struct {
	*directConn
	prepares func(text string) bool
}

func (r *readerConn) straight() *directConn { return r.directConn }

// QueryContext implements [driver.QueryerContext].
func (r *readerConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if !r.prepares(text) {
		return r.sqliteConn.QueryContext(ctx, text, args)
	}
	stmt, err := r.statement(text)
	if err != nil {
		return nil, err
	}
	return stmt.(driver.StmtQueryContext).QueryContext(ctx, args) //nolint:errcheck // the driver's statements have the method
}
