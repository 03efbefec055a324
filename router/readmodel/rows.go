package readmodel

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel/sortedrows"
)

// rowSet is the rows of a fold: the rows looked up, with the changes since the
// last flush.
type rowSet struct {
	tables []*tableRows
	event  []undo // the changes of the current event
	period int    // counts the calls of bulk.flushed
}

// tableRows is a table's part of a rowSet.
type tableRows struct {
	*projection.Table
	rows    map[string]*workRow // by key
	changed []*workRow
	written *written // keys in the store; nil if unknown keys must be looked up
	room    []workRow
	// sorted has the changes in place of rows, in a bulk of a projection that
	// looks at no rows; nil otherwise.
	sorted *sortedrows.Rows
}

// workRow is a row in memory. The row is nil if the store has no such row.
type workRow struct {
	name    string // from KeyText
	key     projection.Row
	row     projection.Row
	changed bool
	used    int // the period of the last use
}

type undo struct {
	table  *tableRows
	at     *workRow
	before projection.Row
	// unknown and unchanged say what the row was before the change. The store may
	// have an unknown row.
	unknown, unchanged bool
}

func newRowSet(p *projection.Projection) *rowSet {
	s := new(rowSet)
	for i := range p.Tables {
		s.tables = append(s.tables, &tableRows{Table: &p.Tables[i], rows: map[string]*workRow{}})
	}
	return s
}

// table returns the table with a name, or nil.
func (s *rowSet) table(name string) *tableRows {
	for _, t := range s.tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// check returns an error for a key without a table, and for a key that doesn't
// fit its table.
func (s *rowSet) check(keys []projection.RowKey) error {
	for _, key := range keys {
		t := s.table(key.Table)
		if t == nil {
			return fmt.Errorf("the projection names a row of table %q, which it doesn't have", key.Table)
		}
		if !t.hasKey(key.Key) {
			return fmt.Errorf("the projection names row %v of table %s, and the key doesn't fit", key.Key, key.Table)
		}
	}
	return nil
}

// hasKey says whether the values can be a key of the table.
func (t *tableRows) hasKey(key projection.Row) bool {
	for i, column := range t.Columns {
		if !column.Key {
			return len(key) == i
		}
		if i == len(key) || !column.Type.Holds(key[i]) {
			return false
		}
	}
	return len(key) == len(t.Columns)
}

// fetch looks up the rows of these checked keys, except rows in memory.
func (s *rowSet) fetch(ctx context.Context, from stored, keys []projection.RowKey) error {
	unknown := map[*tableRows][]projection.Row{}
	for _, key := range keys {
		t := s.table(key.Table)
		name := KeyText(key.Key)
		at := t.rows[name]
		if at == nil {
			at = t.new(name, key.Key)
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

// chunk is the number of rows, and of streams, that take memory together.
const chunk = 16

func (t *tableRows) new(name string, key projection.Row) *workRow {
	if len(t.room) == 0 {
		t.room = make([]workRow, chunk)
	}
	at := &t.room[0]
	t.room = t.room[1:]
	at.name, at.key = name, key
	return at
}

// KeyText returns a text that is unique for the key.
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
	if definition.sorted != nil {
		definition.sorted.Put(row)
		return
	}
	s.change(definition, definition.KeyOf(row), row)
}

// Delete implements [projection.Rows].
func (s *rowSet) Delete(table string, key ...any) {
	t := s.table(table)
	if t == nil {
		panic(fmt.Sprintf("there is no table %s", table))
	}
	if !t.hasKey(key) {
		panic(fmt.Sprintf("key %v does not fit table %s", key, table))
	}
	if t.sorted != nil {
		t.sorted.Delete(key)
		return
	}
	s.change(t, key, nil)
}

func (s *rowSet) change(t *tableRows, key, row projection.Row) {
	name := KeyText(key)
	at := t.rows[name]
	unknown := at == nil
	if unknown {
		at = t.new(name, key)
		t.rows[name] = at
	}
	at.used = s.period
	s.event = append(s.event, undo{t, at, at.row, unknown, !at.changed})
	if !at.changed {
		at.changed = true
		t.changed = append(t.changed, at)
	}
	at.row = row
}

// commit keeps the changes of the current event; rollback undoes the changes.
func (s *rowSet) commit() {
	s.event = s.event[:0]
	for _, t := range s.tables {
		if t.sorted != nil {
			t.sorted.Commit()
		}
	}
}

func (s *rowSet) rollback() {
	for _, u := range slices.Backward(s.event) {
		u.at.row = u.before
		if u.unchanged { // the last of the changed rows
			u.at.changed = false
			u.table.changed = u.table.changed[:len(u.table.changed)-1]
		}
		if u.unknown {
			delete(u.table.rows, u.at.name)
		}
	}
	s.event = s.event[:0]
	for _, t := range s.tables {
		if t.sorted != nil {
			t.sorted.Rollback()
		}
	}
}

// tableChanges are a table's rows to put, and the keys of rows to delete.
type tableChanges struct {
	name        string
	put, remove []projection.Row
	sorted      *sortedrows.Rows // more changes; nil for none
}

// changes returns the changes since flushed was last called, in the memory of
// other changes without a reader. A row is never modified after put.
func (s *rowSet) changes(room []tableChanges) (all []tableChanges) {
	for i, t := range s.tables {
		c := tableChanges{name: t.Name, sorted: t.sorted}
		if i < len(room) {
			c.put, c.remove = room[i].put[:0], room[i].remove[:0]
		}
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

// sort makes neighbours of rows that share a page of the store.
func (c tableChanges) sort() {
	slices.SortFunc(c.put, compareFirst)
	if c.sorted != nil {
		c.sorted.Sort()
	}
}

// writeAtOnce is the number of sorted rows that are decoded at a time.
const writeAtOnce = 8192

func (c tableChanges) write(ctx context.Context, tx Tx) error {
	write := func(put, remove []projection.Row) error {
		if len(put) > 0 {
			if err := tx.Put(ctx, c.name, put); err != nil {
				return err
			}
		}
		if len(remove) == 0 {
			return nil
		}
		return tx.Delete(ctx, c.name, remove)
	}
	if c.sorted != nil {
		return c.sorted.Each(writeAtOnce, write)
	}
	return write(c.put, c.remove)
}

// flushed says that the changes are committed, or will be before the next
// lookup.
func (s *rowSet) flushed() {
	for _, t := range s.tables {
		for _, at := range t.changed {
			at.changed = false
		}
		t.changed = t.changed[:0]
		if t.sorted != nil { // a transaction under way has the changes
			t.sorted = sortedrows.New(t.Table)
		}
	}
}

// compareFirst orders rows by the first column, bytewise.
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
