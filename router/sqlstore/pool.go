package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// maxPrepared is the largest number of prepared statements of a pool. A read
// model has a few statements, unless queries contain values instead of
// parameters.
const maxPrepared = 256

// pool is a set of connections to a database, with prepared statements.
type pool struct {
	*sql.DB
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // by text; nil if the driver prepares by itself

	// undisturbed statements are short, and are not interrupted. The context is
	// checked before each statement only, because the driver would start a
	// goroutine for each statement.
	undisturbed bool
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

func (p *pool) statement(text string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.prepared[text]
}

func (p *pool) begin(ctx context.Context, options *sql.TxOptions) (*transaction, error) {
	tx, err := p.BeginTx(ctx, options)
	if err != nil {
		return nil, err
	}
	return &transaction{Tx: tx, pool: p}, nil
}

// transaction runs statements, prepared if possible.
type transaction struct {
	*sql.Tx
	pool       *pool
	unprepared []string // queries that ran unprepared
	// shared, if not nil, is the context of all statements of a shared
	// transaction. The end of another context would end the connection.
	shared context.Context //nolint:containedctx // of the transaction
}

func (t *transaction) exec(ctx context.Context, text string, args ...any) (result sql.Result, err error) {
	during, err := t.during(ctx)
	if err != nil {
		return nil, err
	}
	if stmt := t.pool.statement(text); stmt != nil {
		result, err = t.StmtContext(during, stmt).ExecContext(during, args...) //nolint:sqlclosecheck // the transaction does
	} else {
		result, err = t.ExecContext(during, text, args...)
	}
	return result, ended(ctx, err)
}

// repeat is exec for a statement that runs many times.
func (t *transaction) repeat(text string) func(ctx context.Context, args []any) error {
	prepared := t.pool.statement(text)
	if prepared == nil {
		return func(ctx context.Context, args []any) error {
			_, err := t.exec(ctx, text, args...)
			return err
		}
	}
	stmt := t.Stmt(prepared)
	return func(ctx context.Context, args []any) error {
		during, err := t.during(ctx)
		if err != nil {
			return err
		}
		_, err = stmt.ExecContext(during, args...)
		return ended(ctx, err)
	}
}

func (t *transaction) query(ctx context.Context, text string, args ...any) (rows *sql.Rows, err error) {
	during, err := t.during(ctx)
	if err != nil {
		return nil, err
	}
	if stmt := t.pool.statement(text); stmt != nil {
		rows, err = t.StmtContext(during, stmt).QueryContext(during, args...) //nolint:sqlclosecheck // the transaction does
	} else {
		t.unprepared = append(t.unprepared, text)
		rows, err = t.QueryContext(during, text, args...)
	}
	return rows, ended(ctx, err)
}

// during is the context of a statement.
func (t *transaction) during(ctx context.Context) (context.Context, error) {
	if t.shared != nil {
		return t.shared, ctx.Err()
	}
	if !t.pool.undisturbed {
		return ctx, nil
	}
	return context.WithoutCancel(ctx), ctx.Err()
}

func (t *transaction) commit(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := t.Commit(); err != nil {
		return ended(ctx, err)
	}
	if t.pool.committed != nil {
		t.pool.committed()
	}
	return nil
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
