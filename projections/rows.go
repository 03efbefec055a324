package projections

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// rowSet is the rows that a batch works on: those fetched, and the changes on
// top, which reach the store at the batch's end.
type rowSet struct {
	tables  map[string]*Table
	fetched map[string]map[string]*workRow // by table and key
	event   []undo                         // what the event at hand has changed
}

// workRow is a row, nil if there is none, and whether it has changed.
type workRow struct {
	key     Row
	row     Row
	changed bool
}

type undo struct {
	at     *workRow
	before workRow
}

// fetch gets the rows with these keys from the store.
func fetch(ctx context.Context, tx Tx, p *Projection, keys []RowKey) (*rowSet, error) {
	rows := &rowSet{tables: map[string]*Table{}, fetched: map[string]map[string]*workRow{}}
	for i := range p.Tables {
		rows.tables[p.Tables[i].Name] = &p.Tables[i]
		rows.fetched[p.Tables[i].Name] = map[string]*workRow{}
	}
	wanted := map[string][]Row{}
	for _, key := range keys {
		at, name := rows.fetched[key.Table], keyText(key.Key)
		if at == nil {
			return nil, fmt.Errorf("projection %s names a table %q that it doesn't have", p.Name, key.Table)
		}
		if at[name] == nil {
			at[name] = &workRow{key: key.Key}
			wanted[key.Table] = append(wanted[key.Table], key.Key)
		}
	}
	for table, keys := range wanted {
		found, err := tx.Rows(ctx, table, keys)
		if err != nil {
			return nil, err
		}
		for _, row := range found {
			rows.fetched[table][keyText(rows.tables[table].key(row))].row = row
		}
	}
	return rows, nil
}

// key is the part of a row that is its key.
func (t *Table) key(row Row) Row {
	n := 0
	for n < len(t.Columns) && t.Columns[n].Key {
		n++
	}
	return row[:n]
}

// keyText is a text for a key that no other key has.
func keyText(key Row) string {
	if len(key) == 1 {
		if text, ok := key[0].(string); ok {
			return text
		}
	}
	var b strings.Builder
	for _, value := range key {
		text := fmt.Sprint(value)
		fmt.Fprintf(&b, "%d:%s,", len(text), text)
	}
	return b.String()
}

// Get implements [Rows].
func (s *rowSet) Get(table string, key ...any) Row {
	at := s.fetched[table][keyText(key)]
	if at == nil {
		panic(fmt.Sprintf("row %v of table %s was not asked for", key, table))
	}
	return slices.Clone(at.row)
}

// Put implements [Rows].
func (s *rowSet) Put(table string, row Row) {
	definition := s.tables[table]
	if definition == nil || len(row) != len(definition.Columns) {
		panic(fmt.Sprintf("a row of %d columns does not fit table %q", len(row), table))
	}
	for i, column := range definition.Columns {
		if !column.Type.holds(row[i]) {
			panic(fmt.Sprintf("column %s of table %s can't hold %#v", column.Name, table, row[i]))
		}
	}
	s.change(table, definition.key(row), row)
}

// holds says whether a column of this type can hold a value, in every store.
func (t Type) holds(value any) bool {
	switch value := value.(type) {
	case string:
		return t == Text && utf8.ValidString(value) && !strings.Contains(value, "\x00")
	case int64:
		return t == Integer
	case bool:
		return t == Boolean
	default:
		return false
	}
}

// Delete implements [Rows].
func (s *rowSet) Delete(table string, key ...any) { s.change(table, key, nil) }

func (s *rowSet) change(table string, key, row Row) {
	name := keyText(key)
	at := s.fetched[table][name]
	if at == nil {
		at = &workRow{key: key}
		s.fetched[table][name] = at
	}
	s.event = append(s.event, undo{at, *at})
	at.row, at.changed = row, true
}

// keep makes the changes of the event at hand stay, and takeBack undoes them.
func (s *rowSet) keep() { s.event = s.event[:0] }

func (s *rowSet) takeBack() {
	for _, u := range slices.Backward(s.event) {
		*u.at = u.before
	}
	s.keep()
}

// flush writes the changes to the store.
func (s *rowSet) flush(ctx context.Context, tx Tx) error {
	for table, rows := range s.fetched {
		var put, remove []Row
		for _, at := range rows {
			switch {
			case !at.changed:
			case at.row == nil:
				remove = append(remove, at.key)
			default:
				put = append(put, at.row)
			}
		}
		slices.SortFunc(put, compareFirst) // neighbours are of one page in the store
		if len(put) > 0 {
			if err := tx.Put(ctx, table, put); err != nil {
				return err
			}
		}
		if len(remove) > 0 {
			if err := tx.Delete(ctx, table, remove); err != nil {
				return err
			}
		}
	}
	return nil
}

// compareFirst orders rows by their first column, bytewise.
func compareFirst(a, b Row) int {
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
