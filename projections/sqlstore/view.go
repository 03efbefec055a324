package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"

	"github.com/millrace/millrace/projections"
)

// view is a [projections.View].
type view struct {
	dialect dialect
	model   *model
	tx      *transaction
}

var _ projections.View = (*view)(nil)

// Checkpoints is [projections.View.Checkpoints].
func (v *view) Checkpoints(ctx context.Context) ([]projections.Checkpoint, error) {
	fail := func(err error) error {
		if v.dialect.isNoTable(err) {
			err = projections.ErrNotPrepared
		}
		return fmt.Errorf("read checkpoints of %s: %w", v.model.name, err)
	}
	rows, err := v.tx.query(ctx, v.model.checkpoints)
	if err != nil {
		return nil, fail(err)
	}
	defer rows.Close()
	var all []projections.Checkpoint
	for rows.Next() {
		var c projections.Checkpoint
		var digest []byte
		if err := rows.Scan(&c.Partition, &c.Next, &digest); err != nil {
			return nil, fail(err)
		}
		if c.Digest, err = digestOf(digest); err != nil {
			return nil, fail(err)
		}
		all = append(all, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fail(err)
	}
	if len(all) == 0 {
		return nil, fail(projections.ErrNotPrepared)
	}
	return all, nil
}

// Head is [projections.View.Head].
func (v *view) Head(ctx context.Context, stream string) (projections.StreamHead, error) {
	heads, err := v.Heads(ctx, []string{stream})
	return heads[stream], err
}

// Heads is [projections.View.Heads].
func (v *view) Heads(ctx context.Context, streams []string) (map[string]projections.StreamHead, error) {
	b := batch{dialect: v.dialect, model: v.model, tx: v.tx}
	return b.Heads(ctx, streams)
}

// Query is [projections.View.Query]. The arguments are texts, integers and
// booleans.
func (v *view) Query(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	values := make([]any, len(args))
	for i, arg := range args {
		value, err := driver.DefaultParameterConverter.ConvertValue(arg)
		if err != nil {
			return nil, fmt.Errorf("argument $%d: %w", i+1, err)
		}
		if text, ok := value.(string); ok && !isText(text) {
			return nil, fmt.Errorf("argument $%d: not UTF-8 without NUL", i+1)
		}
		values[i] = value
	}
	return v.tx.query(ctx, v.model.names.Replace(query), values...)
}
