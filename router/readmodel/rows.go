package readmodel

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// rowSet is the rows that a fold works on: those fetched, and the changes on
// top, which reach the store when they are flushed.
type rowSet struct {
	projection string
	tables     []*tableRows
	event      []undo // what the event at hand has changed
	period     int    // counts how often something was forgotten, or could be
}

// tableRows are those of one table.
type tableRows struct {
	*projection.Table
	rows    map[string]*workRow // by key
	changed []*workRow
	written *written // nil if what isn't known must be looked up
}

// workRow is a row, nil if there is none, and whether it has changed.
type workRow struct {
	name    string // as KeyText has it
	key     projection.Row
	row     projection.Row
	changed bool
	used    int // as in a stream
}

type undo struct {
	at     *workRow
	before projection.Row
}

func newRowSet(p *projection.Projection) *rowSet {
	s := &rowSet{projection: p.Name}
	for i := range p.Tables {
		s.tables = append(s.tables, &tableRows{Table: &p.Tables[i], rows: map[string]*workRow{}})
	}
	return s
}

// table is the one of that name, nil if there is none.
func (s *rowSet) table(name string) *tableRows {
	for _, t := range s.tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// fetch gets the rows with these keys from the store, those that aren't here.
func (s *rowSet) fetch(ctx context.Context, from stored, keys []projection.RowKey) error {
	unknown := map[*tableRows][]projection.Row{}
	for _, key := range keys {
		t := s.table(key.Table)
		if t == nil {
			return fmt.Errorf("projection %s names a table %q that it doesn't have", s.projection, key.Table)
		}
		name := KeyText(key.Key)
		at := t.rows[name]
		if at == nil {
			at = &workRow{key: key.Key, name: name}
			t.rows[name] = at
			if t.written.has(name) {
				unknown[t] = append(unknown[t], key.Key)
			}
		}
		at.used = s.period
	}
	for t, keys := range unknown {
		found, err := from.Rows(ctx, t.Name, keys)
		if err != nil {
			return err
		}
		for _, row := range found {
			t.rows[KeyText(t.KeyOf(row))].row = row
		}
	}
	return nil
}

// KeyText is a text for a key that no other key has.
func KeyText(key projection.Row) string {
	if len(key) == 1 {
		if text, ok := key[0].(string); ok {
			return text
		}
	}
	var room [64]byte
	name := room[:0]
	for _, value := range key {
		switch value := value.(type) {
		case string:
			name = strconv.AppendInt(name, int64(len(value)), 10)
			name = append(append(name, ':'), value...)
		case int64:
			name = append(strconv.AppendInt(name, value, 10), ',')
		default:
			name = append(fmt.Append(name, value), ',')
		}
	}
	return string(name)
}

// Get implements [projection.Rows].
func (s *rowSet) Get(table string, key ...any) projection.Row {
	t := s.table(table)
	if t == nil {
		panic(fmt.Sprintf("there is no table %s", table))
	}
	at := t.rows[KeyText(key)]
	if at == nil {
		panic(fmt.Sprintf("row %v of table %s was not asked for", key, table))
	}
	return slices.Clone(at.row)
}

// Put implements [projection.Rows].
func (s *rowSet) Put(table string, row projection.Row) {
	definition := s.table(table)
	if definition == nil || len(row) != len(definition.Columns) {
		panic(fmt.Sprintf("a row of %d columns does not fit table %q", len(row), table))
	}
	for i, column := range definition.Columns {
		if !column.Type.Holds(row[i]) {
			panic(fmt.Sprintf("column %s of table %s can't hold %#v", column.Name, table, row[i]))
		}
	}
	s.change(definition, definition.KeyOf(row), row)
}

// Delete implements [projection.Rows].
func (s *rowSet) Delete(table string, key ...any) {
	t := s.table(table)
	if t == nil {
		panic(fmt.Sprintf("there is no table %s", table))
	}
	s.change(t, key, nil)
}

func (s *rowSet) change(t *tableRows, key, row projection.Row) {
	name := KeyText(key)
	at := t.rows[name]
	if at == nil {
		at = &workRow{key: key, name: name}
		t.rows[name] = at
	}
	at.used = s.period
	if !at.changed {
		at.changed = true
		t.changed = append(t.changed, at)
	}
	s.event = append(s.event, undo{at, at.row})
	at.row = row
}

// commit makes the changes of the event at hand stay, and rollback undoes them.
// A row that is as it was is written once more: that changes nothing.
func (s *rowSet) commit() { s.event = s.event[:0] }

func (s *rowSet) rollback() {
	for _, u := range slices.Backward(s.event) {
		u.at.row = u.before
	}
	s.commit()
}

// tableChanges are the rows of a table to put, and the keys of those to remove.
type tableChanges struct {
	name        string
	put, remove []projection.Row
}

// changes are those that flushed hasn't been told of. Nobody changes a row that
// was put.
func (s *rowSet) changes() (all []tableChanges) {
	for _, t := range s.tables {
		c := tableChanges{name: t.Name}
		for _, at := range t.changed {
			t.written.add(at.name)
			if at.row == nil {
				c.remove = append(c.remove, at.key)
			} else {
				c.put = append(c.put, at.row)
			}
		}
		all = append(all, c)
	}
	return all
}

func (c tableChanges) write(ctx context.Context, tx Tx) error {
	slices.SortFunc(c.put, compareFirst) // neighbours are of one page in the store
	if len(c.put) > 0 {
		if err := tx.Put(ctx, c.name, c.put); err != nil {
			return err
		}
	}
	if len(c.remove) == 0 {
		return nil
	}
	return tx.Delete(ctx, c.name, c.remove)
}

// flushed is that of a fold.
func (s *rowSet) flushed() {
	for _, t := range s.tables {
		for _, at := range t.changed {
			at.changed = false
		}
		t.changed = t.changed[:0]
	}
}

// compareFirst orders rows by their first column, bytewise.
func compareFirst(a, b projection.Row) int {
	switch x := a[0].(type) {
	case string:
		y, _ := b[0].(string)
		return strings.Compare(x, y)
	case int64:
		y, _ := b[0].(int64)
		return cmp.Compare(x, y)
	default:
		return 0
	}
}
