package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"slices"
	"sync"

	"github.com/millrace/millrace/router/projection"
)

// maxPrepared is the largest number of prepared statements of a pool. A read
// model has a few statements, unless queries contain values instead of
// parameters.
const maxPrepared = 512

// pool is a set of connections to a database, with prepared statements.
type pool struct {
	*sql.DB
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // by text; nil if the driver prepares by itself

	// direct, if not nil, has the texts that the connections prepare by
	// themselves: the pool is SQLite's. The statements are short, and are not
	// interrupted. The context is checked before each statement only, because
	// the driver would start a goroutine for each statement.
	direct map[string]bool
	reads  bool // the pool is of readers
	// pipelines says that updates and views are pipelines: the pool is
	// PostgreSQL's.
	pipelines bool
	// committed, if not nil, is called after each commit.
	committed func()
}

// newPool returns a pool of up to n connections, and keeps idle connections.
func newPool(db *sql.DB, n int, prepares bool) *pool {
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	p := &pool{DB: db}
	if prepares {
		p.prepared = map[string]*sql.Stmt{}
	}
	return p
}

// prepare prepares statements, once each. Within a transaction, prepare would
// wait for the transaction's own connection.
func (p *pool) prepare(ctx context.Context, texts []string) error {
	if p.direct != nil {
		p.allow(texts)
		return nil
	}
	if p.prepared == nil {
		return nil
	}
	for _, text := range texts {
		if !p.wants(text) {
			continue
		}
		stmt, err := p.PrepareContext(ctx, text)
		if err != nil {
			return err
		}
		if !p.keep(text, stmt) {
			if err := stmt.Close(); err != nil { //nolint:sqlclosecheck // only if another goroutine was faster
				return err
			}
		}
	}
	return nil
}

func (p *pool) wants(text string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.prepared[text] == nil && len(p.prepared) < maxPrepared
}

func (p *pool) keep(text string, stmt *sql.Stmt) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.prepared[text] != nil || len(p.prepared) >= maxPrepared {
		return false
	}
	p.prepared[text] = stmt
	return true
}

// allow lets transactions prepare statements.
func (p *pool) allow(texts []string) {
	p.mu.RLock()
	missing := slices.ContainsFunc(texts, func(text string) bool { return !p.direct[text] })
	p.mu.RUnlock()
	if !missing {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range texts {
		if len(p.direct) < maxPrepared {
			p.direct[text] = true
		}
	}
}

// allowed says whether a transaction may prepare a statement.
func (p *pool) allowed(text string) bool {
	if p.direct == nil {
		return false
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.direct[text]
}

func (p *pool) statement(text string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.prepared[text]
}

// beginUpdates begins a transaction of updates, beginView of a view, and begin
// any other transaction.
func (p *pool) beginUpdates(ctx context.Context) (*transaction, error) {
	if p.pipelines {
		return p.beginPipelined(ctx, beginPostgres, postgresUpdateSettings)
	}
	return p.beginDirect(ctx, true)
}

func (p *pool) beginView(ctx context.Context) (*transaction, error) {
	if p.pipelines {
		return p.beginPipelined(ctx, beginPostgresView)
	}
	return p.beginDirect(ctx, false)
}

func (p *pool) begin(ctx context.Context, options *sql.TxOptions) (*transaction, error) {
	if p.direct != nil {
		return p.beginDirect(ctx, false)
	}
	tx, err := p.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &transaction{session: tx, tx: tx, pool: p}, nil
}

// session runs statements that are not prepared: a [sql.Tx] or a [sql.Conn].
type session interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// memory is for the arguments of the next statement of a transaction.
type memory struct {
	args, values []any
	rows         []projection.Row
	digests      []byte
}

// transaction runs statements, prepared if possible.
type transaction struct {
	session
	tx         *sql.Tx            // nil for SQLite, and for a pipeline
	pipe       *pipeline          // of PostgreSQL's updates and views
	direct     *sql.Conn          // of SQLite
	ended      bool               // of SQLite: the connection is back in the pool
	forget     context.CancelFunc // of readers: closes rows; nil without rows
	keeps      map[string]any     // of SQLite's writer: what the updates keep, by generation
	pool       *pool
	unprepared []string // queries that ran unprepared
	room       memory
	// shared, if not nil, is the context of all statements of a shared
	// transaction. The end of another context would end the connection.
	shared context.Context //nolint:containedctx // of the transaction
}

func (t *transaction) exec(ctx context.Context, text string, args ...any) (result sql.Result, err error) {
	if t.pipe != nil {
		return driver.ResultNoRows, t.send(ctx, statement{text: text, args: args})
	}
	if t.pool.allowed(text) {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		result, err = t.execDirect(text, args)
		return result, ended(ctx, err)
	}
	during, err := t.during(ctx)
	if err != nil {
		return nil, err
	}
	if stmt := t.pool.statement(text); stmt != nil {
		result, err = t.tx.StmtContext(during, stmt).ExecContext(during, args...) //nolint:sqlclosecheck // the transaction does
	} else {
		result, err = t.ExecContext(during, text, args...)
	}
	return result, ended(ctx, err)
}

// rows runs a query for rows with all columns of a table.
func (t *transaction) rows(ctx context.Context, text string, args []any, of *table) (all []projection.Row, err error) {
	if !t.pool.allowed(text) {
		err = t.each(ctx, text, args, func(rows scanner) error {
			all, err = of.scan(rows)
			return err
		})
		return all, err
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	err = t.raw(func(conn *directConn) (err error) {
		all, err = conn.rows(text, args, of)
		return err
	})
	return all, ended(ctx, err)
}

func (t *transaction) query(ctx context.Context, text string, args ...any) (rows *sql.Rows, err error) {
	if t.pipe != nil {
		if err := t.send(ctx); err != nil {
			return nil, err
		}
	}
	during, err := t.during(ctx)
	if err != nil {
		return nil, err
	}
	if stmt := t.pool.statement(text); stmt != nil {
		rows, err = t.tx.StmtContext(during, stmt).QueryContext(during, args...) //nolint:sqlclosecheck // the transaction does
	} else {
		if !t.pool.allowed(text) {
			t.unprepared = append(t.unprepared, text)
		}
		rows, err = t.QueryContext(during, text, args...)
	}
	return rows, ended(ctx, err)
}

// during is the context of a statement.
func (t *transaction) during(ctx context.Context) (context.Context, error) {
	if t.shared != nil {
		return t.shared, ctx.Err()
	}
	if t.tx != nil || t.pipe != nil && !t.pool.reads {
		return ctx, nil
	}
	if !t.pool.reads {
		return context.WithoutCancel(ctx), ctx.Err()
	}
	// Rows that nobody closes would keep the connection.
	ctx, cancel := context.WithCancel(ctx)
	before := t.forget
	t.forget = func() {
		cancel()
		if before != nil {
			before()
		}
	}
	return ctx, nil
}

func (t *transaction) commit(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var err error
	switch {
	case t.pipe != nil:
		err = t.commitPipelined(ctx)
	case t.direct != nil:
		err = t.commitDirect()
	default:
		err = t.tx.Commit()
	}
	if err != nil {
		return ended(ctx, err)
	}
	if t.pool.committed != nil {
		t.pool.committed()
	}
	return nil
}

// rollback undoes the transaction. After a commit rollback does nothing.
func (t *transaction) rollback() {
	switch {
	case t.pipe != nil:
		t.rollbackPipelined()
	case t.direct != nil:
		t.rollbackDirect()
	default:
		_ = t.tx.Rollback() // at the latest, the end of the connection undoes the writes
	}
}

// ended returns the context's error if the context has ended, and err
// otherwise. After the end of the context, database/sql and the drivers may
// report a closed transaction or a bad connection.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return pooled(err)
}
