package sqlstore

import (
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// ahead is the heads and rows that an update or a view got in the round trip of
// its beginning, by table. A table's part ends with the first write to the table.
type ahead map[*table]*aheadRows

// aheadRows are some rows of a table, by [readmodel.KeyText]: nil for a key
// without a row.
type aheadRows struct {
	keys []projection.Row
	rows map[string]projection.Row
}

// ask returns the queries for what an update or a view will ask.
func (b *batch) ask(want readmodel.Ahead) (queries []statement) {
	b.ahead = ahead{}
	for _, stream := range want.Streams {
		b.ahead.want(b.model.heads, projection.Row{stream})
	}
	for _, key := range want.Keys {
		if t := b.model.byName[key.Table]; t != nil && t.checkKeys([]projection.Row{key.Key}) == nil {
			b.ahead.want(t, key.Key)
		}
	}
	for t, part := range b.ahead {
		args, err := b.dialect.keyArgs(t, part.keys)
		if err != nil {
			delete(b.ahead, t)
			continue
		}
		queries = append(queries, statement{text: t.get, args: args, read: func(rows scanner) error {
			all, err := t.scan(rows)
			for name := range part.rows {
				part.rows[name] = nil
			}
			for _, row := range all {
				part.rows[readmodel.KeyText(row[:len(t.key)])] = row
			}
			return err
		}})
	}
	return queries
}

func (a ahead) want(t *table, key projection.Row) {
	part := a[t]
	if part == nil {
		part = &aheadRows{rows: map[string]projection.Row{}}
		a[t] = part
	}
	name := readmodel.KeyText(key)
	if _, known := part.rows[name]; !known {
		part.rows[name] = nil
		part.keys = append(part.keys, key)
	}
}

// get returns the rows with these keys, if all were asked for.
func (a ahead) get(t *table, keys []projection.Row) (found []projection.Row, ok bool) {
	part := a[t]
	if part == nil {
		return nil, false
	}
	for _, key := range keys {
		row, known := part.rows[readmodel.KeyText(key)]
		if !known {
			return nil, false
		}
		if row != nil {
			found = append(found, row)
		}
	}
	return found, true
}
