package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

const (
	// pipelineRows is the number of rows that wait for their round trip at most:
	// rows take memory.
	pipelineRows = 4096
	// staleTries is how often a transaction begins anew, on another connection,
	// because a connection turns out to be lost.
	staleTries = 2
)

// statement is a statement of a pipeline.
type statement struct {
	text string
	args []any
	read func(scanner) error // reads the result, from the start if called again; nil for no result
	fail func(error) error   // tells an error's place; nil for none
}

// scanner is the rows of a result: [sql.Rows] or [pgx.Rows].
type scanner interface {
	Next() bool
	Scan(into ...any) error
	Err() error
}

// pipeline is a transaction's connection to PostgreSQL. Statements without a
// result wait, and go to the server with the next statement that has one, in one
// round trip: the beginning of the transaction with the first query, and the
// writes with the commit. So an error of a write comes out of a later call.
type pipeline struct {
	conn    *sql.Conn
	waiting []statement
	behind  []statement // go to the server right behind the next statement
	rows    int         // of the waiting statements
	began   bool        // the server has answered the first statements
	over    bool        // the connection is back in the pool
	asked   bool        // a statement came after the end
	failed  error       // of a statement: perhaps one that an earlier caller left waiting
}

// beginPipelined begins a transaction of PostgreSQL. The statements go to the
// server with the first query.
func (p *pool) beginPipelined(ctx context.Context, begin ...string) (*transaction, error) {
	conn, err := p.Conn(ctx)
	if err != nil {
		return nil, ended(ctx, err)
	}
	t := &transaction{session: conn, pool: p, pipe: &pipeline{conn: conn}}
	for _, text := range begin {
		t.pipe.waiting = append(t.pipe.waiting, statement{text: text})
	}
	return t, nil
}

// write runs a statement that writes some rows; fail tells an error's place. In a
// pipeline the statement waits.
func (t *transaction) write(ctx context.Context, rows int, text string, args []any, fail func(error) error) error {
	if t.pipe == nil {
		if _, err := t.exec(ctx, text, args...); err != nil {
			return fail(err)
		}
		return nil
	}
	t.pipe.waiting = append(t.pipe.waiting, statement{text: text, args: args, fail: fail})
	if t.pipe.rows += rows; t.pipe.rows > pipelineRows {
		return t.send(ctx)
	}
	return nil
}

// each runs a query, and hands over the rows.
func (t *transaction) each(ctx context.Context, text string, args []any, read func(scanner) error) error {
	if t.pipe != nil {
		return t.send(ctx, statement{text: text, args: args, read: read})
	}
	rows, err := t.query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	if err := read(rows); err != nil {
		return ended(ctx, err)
	}
	return ended(ctx, rows.Err())
}

// send sends the waiting statements and some more, in one round trip, and reads
// the results. The first error ends the statements behind.
func (t *transaction) send(ctx context.Context, more ...statement) error {
	p := t.pipe
	if p.over {
		p.asked = true
		return sql.ErrTxDone
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if t.shared != nil {
		ctx = t.shared
	}
	list := append(append(p.waiting, more...), p.behind...)
	p.waiting, p.behind, p.rows = nil, nil, 0
	if len(list) == 0 {
		return nil
	}
	for try := 0; ; try++ {
		lost, err := p.run(ctx, list)
		if err == nil {
			p.began = true
			return nil
		}
		// Before the first answer, nothing of the transaction is anywhere.
		if !lost || p.began || try == staleTries || ctx.Err() != nil {
			p.failed = ended(ctx, err)
			return p.failed
		}
		_ = p.conn.Close() // lost already
		conn, err := t.pool.Conn(ctx)
		if err != nil {
			p.over, p.failed = true, ended(ctx, err)
			return p.failed
		}
		p.conn, t.session = conn, conn
	}
}

// run runs statements in one round trip. lost means that the connection is gone.
func (p *pipeline) run(ctx context.Context, list []statement) (lost bool, err error) {
	broken := p.raw(func(conn *pgx.Conn) error {
		batch := new(pgx.Batch)
		for i := range list {
			batch.Queue(list[i].text, list[i].args...)
		}
		results := conn.SendBatch(ctx, batch)
		err = readAll(results, list)
		if closing := results.Close(); err == nil {
			err = closing
		}
		lost = conn.IsClosed()
		return usable(conn)
	})
	if err == nil {
		err = broken
	}
	return lost, err
}

// usable is [driver.ErrBadConn] for a lost connection, which the pool must not
// use again.
func usable(conn *pgx.Conn) error {
	if conn.IsClosed() {
		return driver.ErrBadConn
	}
	return nil
}

func readAll(results pgx.BatchResults, list []statement) error {
	for i := range list {
		if err := list[i].result(results); err != nil {
			if list[i].fail != nil {
				err = list[i].fail(err)
			}
			return err
		}
	}
	return nil
}

// errNotCommitted means that a transaction had failed before its commit.
var errNotCommitted = errors.New("the server has rolled the transaction back")

func (s *statement) result(results pgx.BatchResults) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	if s.read != nil {
		err = s.read(rows)
	}
	rows.Close()
	if rows.Err() != nil {
		err = rows.Err()
	}
	if err == nil && s.text == commitWrites && rows.CommandTag().String() != commitWrites {
		err = errNotCommitted
	}
	return err
}

// raw calls fn with pgx's connection.
func (p *pipeline) raw(fn func(*pgx.Conn) error) error {
	return p.conn.Raw(func(conn any) error {
		return fn(conn.(*postgresConn).Conn.Conn()) //nolint:errcheck // the pool's own
	})
}

// commitPipelined sends the waiting writes and the commit.
func (t *transaction) commitPipelined(ctx context.Context) error {
	if t.pipe.failed != nil { // whoever forgot the error must not commit the other half
		return t.pipe.failed
	}
	t.pipe.began = true // whatever the answer, the writes are sent once
	if err := t.send(ctx, statement{text: commitWrites}); err != nil {
		return err
	}
	t.pipe.over = true
	return t.pipe.conn.Close() // back to the pool
}

// rollbackPipelined undoes a transaction, unless the transaction has ended. A
// connection on which nothing can be undone is closed.
func (t *transaction) rollbackPipelined() {
	p := t.pipe
	if p.over {
		return
	}
	p.over = true
	if t.forget != nil {
		t.forget() // closes rows, which keep the connection
	}
	_ = p.raw(func(conn *pgx.Conn) error {
		if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
			return usable(conn)
		}
		ctx, cancel := context.WithTimeout(context.Background(), postgresClose)
		defer cancel()
		if _, err := conn.Exec(ctx, undoWrites); err != nil {
			return driver.ErrBadConn
		}
		return nil
	})
	_ = p.conn.Close() // back to the pool, unless closed
}

// leave is rollback for a transaction that has written nothing. In a pipeline
// nobody waits for the server's answer.
func (t *transaction) leave() {
	p := t.pipe
	if p == nil {
		t.rollback()
		return
	}
	if p.over {
		return
	}
	p.over = true
	if t.forget != nil {
		t.forget() // closes rows, which keep the connection
	}
	_ = p.conn.Raw(func(conn any) error {
		return conn.(*postgresConn).leave() //nolint:errcheck // the pool's own
	})
	_ = p.conn.Close() // back to the pool, unless closed
}

// postgresConnector opens connections of PostgreSQL.
type postgresConnector struct{ driver.Connector }

// Connect implements [driver.Connector].
func (c postgresConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &postgresConn{Conn: conn.(*stdlib.Conn)}, nil //nolint:errcheck // pgx's own
}

// postgresConn is a connection of PostgreSQL that may be back in the pool before
// the end of the last view is answered.
type postgresConn struct {
	*stdlib.Conn
	end *pgconn.MultiResultReader // nil if nothing is to be answered
}

// leave sends the end of a view.
func (c *postgresConn) leave() error {
	conn := c.Conn.Conn()
	if !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
		c.end = conn.PgConn().Exec(context.Background(), undoWrites)
	}
	return usable(conn)
}

// ResetSession implements [driver.SessionResetter]. The pool calls ResetSession
// before a connection is used again.
func (c *postgresConn) ResetSession(ctx context.Context) error {
	if c.end != nil {
		conn := c.Conn.Conn().PgConn().Conn()
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // a server that hangs
		err := c.end.Close()
		c.end = nil
		if !stop() || err != nil {
			return driver.ErrBadConn
		}
	}
	return c.Conn.ResetSession(ctx)
}
