package sqlstore

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// Each implements [readmodel.View].
func (v *view) Each(ctx context.Context, name string, after projection.Row, fn func(projection.Row) error) error {
	t, err := v.model.table(name)
	if err != nil {
		return err
	}
	return v.each(ctx, t, t.all(after), after, fn)
}

// EachHead implements [readmodel.View].
func (v *view) EachHead(ctx context.Context, after projection.Row, fn func(string, readmodel.StreamHead) error) error {
	return v.eachHead(ctx, v.model.heads.all(after), after, fn)
}

// EachParked implements [readmodel.View].
func (v *view) EachParked(ctx context.Context, fn func(string, readmodel.StreamHead) error) error {
	return v.eachHead(ctx, v.model.heads.allParked, nil, fn)
}

func (v *view) eachHead(ctx context.Context, query string, args []any, fn func(string, readmodel.StreamHead) error) error {
	return v.each(ctx, v.model.heads, query, args, func(row projection.Row) error {
		stream, head, err := headOf(row)
		if err != nil {
			return err
		}
		return fn(stream, head)
	})
}

// each hands over rows one by one, so memory is bounded.
func (v *view) each(ctx context.Context, t *table, query string, args []any, fn func(projection.Row) error) error {
	fail := func(err error) error { return fmt.Errorf("read %s: %w", t.name, ended(ctx, err)) }
	rows, err := v.tx.query(ctx, query, args...)
	if err != nil {
		return fail(err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := t.scanOne(rows)
		if err != nil {
			return fail(err)
		}
		if err := fn(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fail(err)
	}
	return nil
}

// all is a query for all rows, by key. If after is not nil, the query takes a
// key, and returns the rows behind it.
func (t *table) all(after projection.Row) string {
	where, conditions := "", t.scope.conditions()
	if after != nil {
		var values []string
		for i := range t.key {
			values = append(values, fmt.Sprintf("$%d", i+1))
		}
		conditions = append(conditions, fmt.Sprintf("(%s) > (%s)", join(quoted(t.key)), join(values)))
	}
	if len(conditions) > 0 {
		where = " WHERE " + and(conditions)
	}
	return fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s", join(quoted(t.columns)), t.name, where, join(quoted(t.key)))
}

// scanOne reads a row with all columns of the table.
func (t *table) scanOne(rows scanner) (projection.Row, error) {
	row := make(projection.Row, len(t.columns))
	into := make([]any, len(t.columns))
	for i := range row {
		into[i] = &row[i]
	}
	if err := rows.Scan(into...); err != nil {
		return nil, err
	}
	t.restore(row)
	return row, nil
}

// restore gives the values of a stored row their types: SQLite keeps booleans as
// numbers.
func (t *table) restore(row projection.Row) {
	for i, c := range t.columns {
		if number, ok := row[i].(int64); ok && c.Type == projection.Boolean {
			row[i] = number != 0
		}
	}
}
