package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// maxPrepared is how many statements a pool keeps prepared. There are a few
// for each read model, unless somebody writes values into queries.
const maxPrepared = 256

// pool is connections to a database, and the statements prepared on them.
type pool struct {
	*sql.DB
	mu       sync.RWMutex
	prepared map[string]*sql.Stmt // by their text; nil if the driver does that by itself
}

// newPool keeps up to n connections, and all of them.
func newPool(db *sql.DB, n int, prepares bool) *pool {
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	p := &pool{DB: db}
	if prepares {
		p.prepared = map[string]*sql.Stmt{}
	}
	return p
}

// prepare prepares statements, once. In a transaction it would wait for the
// connection that the transaction has.
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
			if err := stmt.Close(); err != nil { //nolint:sqlclosecheck // only if somebody was faster
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

// transaction runs statements, prepared if they are.
type transaction struct {
	*sql.Tx
	pool       *pool
	unprepared []string // the statements that weren't
}

func (t *transaction) exec(ctx context.Context, text string, args ...any) (result sql.Result, err error) {
	if stmt := t.pool.statement(text); stmt != nil {
		result, err = t.StmtContext(ctx, stmt).ExecContext(ctx, args...) //nolint:sqlclosecheck // the transaction does
	} else {
		result, err = t.ExecContext(ctx, text, args...)
	}
	return result, ended(ctx, err)
}

func (t *transaction) query(ctx context.Context, text string, args ...any) (rows *sql.Rows, err error) {
	if stmt := t.pool.statement(text); stmt != nil {
		rows, err = t.StmtContext(ctx, stmt).QueryContext(ctx, args...) //nolint:sqlclosecheck // the transaction does
	} else {
		t.unprepared = append(t.unprepared, text)
		rows, err = t.QueryContext(ctx, text, args...)
	}
	return rows, ended(ctx, err)
}

func (t *transaction) commit(ctx context.Context) error { return ended(ctx, t.Commit()) }

// ended tells that it was the end of the context that made a statement fail.
// database/sql and the drivers say that the transaction is over, or that its
// connection is bad, if they see that first.
func ended(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
