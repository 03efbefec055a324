package sqlstore

import (
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/router/projection"
)

// table is a table in the database, and the statements that use it. Rows are
// in the order of its columns, the key's first.
type table struct {
	name    string // in the database
	columns []projection.Column
	key     []projection.Column // those of columns that make the primary key
	indexes [][]string
	// scope is what all of the rows have in common, in further columns that
	// begin the primary key.
	scope scope

	get, delete string
	// Of heads: those of the keys that are parked, and one that is, if any.
	getParked, anyParked string
	// puts put rows, so many each: the most first, one at last. A single one
	// of 0 rows puts any number.
	puts []putText
}

// putText is a statement that puts rows.
type putText struct {
	rows int
	text string
}

// scope are columns that have one value, in SQL.
type scope []struct{ column, value string }

// columns and values are its two sides, and conditions say that they are equal.
func (s scope) columns() (list []string) {
	for _, c := range s {
		list = append(list, c.column)
	}
	return list
}

func (s scope) values() (list []string) {
	for _, c := range s {
		list = append(list, c.value)
	}
	return list
}

func (s scope) conditions() (list []string) {
	for _, c := range s {
		list = append(list, c.column+" = "+c.value)
	}
	return list
}

// digestType is that of a column that holds a digest, in the bookkeeping.
const digestType projection.Type = -1

// maxName is how long a name in the database can be: PostgreSQL cuts off what
// is longer.
const maxName = 63

// newTable is a table of a read model, whose definition was checked.
func newTable(d dialect, name string, def projection.Table) (*table, error) {
	t := &table{name: name, columns: def.Columns, indexes: def.Indexes}
	if len(name) > maxName {
		return nil, fmt.Errorf("%s is too long a name: %d characters, and not up to %d", name, len(name), maxName)
	}
	for _, c := range def.Columns {
		if c.Key {
			t.key = append(t.key, c)
		}
	}
	for _, index := range def.Indexes {
		if name := t.indexName(index); len(name) > maxName {
			return nil, fmt.Errorf("%s is too long a name: %d characters, and not up to %d", name, len(name), maxName)
		}
	}
	t.write(d)
	return t, nil
}

// headsOf are the stream heads of a read model.
func headsOf(d dialect, scope scope) *table {
	t := &table{
		name:  "heads",
		scope: scope,
		columns: []projection.Column{
			{Name: "stream", Type: projection.Text, Key: true},
			{Name: "seq", Type: projection.Integer},
			{Name: "version", Type: projection.Integer},
			{Name: "digest", Type: digestType},
			{Name: "parked", Type: projection.Text},
			{Name: "parked_offset", Type: projection.Integer},
			{Name: "command_topic", Type: projection.Text},
			{Name: "command_offset", Type: projection.Integer},
		},
	}
	t.key = t.columns[:1]
	t.write(d)
	t.anyParked = fmt.Sprintf("SELECT 1 FROM %s %s WHERE %s AND parked <> '' LIMIT 1",
		t.name, d.byIndex("heads_parked"), and(scope.conditions()))
	t.getParked = fmt.Sprintf("SELECT %s FROM %s %s WHERE %s AND parked <> ''",
		join(quoted(t.columns)), t.name, d.byIndex("heads_parked"), d.where(t))
	return t
}

// write writes the statements.
func (t *table) write(d dialect) {
	var set []string
	for _, c := range quoted(t.columns[len(t.key):]) {
		set = append(set, c+" = excluded."+c)
	}
	on := "NOTHING"
	if len(set) > 0 {
		on = "UPDATE SET " + join(set)
	}
	where := d.where(t)
	t.get = fmt.Sprintf("SELECT %s FROM %s WHERE %s", join(quoted(t.columns)), t.name, where)
	t.delete = fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, where)
	for _, rows := range d.putRows() {
		t.puts = append(t.puts, putText{rows, fmt.Sprintf("INSERT INTO %s (%s) %s ON CONFLICT (%s) DO %s", t.name,
			join(append(t.scope.columns(), quoted(t.columns)...)), d.source(t, rows),
			join(append(t.scope.columns(), quoted(t.key)...)), on)})
	}
}

// updates are the statements that an update uses.
func (t *table) updates() []string {
	list := []string{t.get, t.delete}
	for _, put := range t.puts {
		list = append(list, put.text)
	}
	return list
}

// describe is a column in a definition.
func describe(name, typeName string, key bool) string {
	if key {
		return name + " " + typeName + " key"
	}
	return name + " " + typeName
}

// createTable makes a table of columns of these types.
func (t *table) createTable(typeOf func(projection.Type) string) string {
	var lines []string
	for _, c := range t.columns {
		lines = append(lines, fmt.Sprintf("%q %s NOT NULL", c.Name, typeOf(c.Type)))
	}
	lines = append(lines, "PRIMARY KEY ("+join(quoted(t.key))+")")
	return fmt.Sprintf("CREATE TABLE %s (\n\t%s\n)", t.name, strings.Join(lines, ",\n\t"))
}

// createIndex makes an index, if it isn't there.
func (t *table) createIndex(columns []string) string {
	var names []string
	for _, c := range columns {
		names = append(names, strconv.Quote(c))
	}
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", t.indexName(columns), t.name, join(names))
}

// indexName says what an index is over, so that another one has another name.
func (t *table) indexName(columns []string) string {
	return t.name + "__" + strings.Join(columns, "__")
}

// check says what is wrong with these values of these columns. What one
// database takes and the other refuses is refused: PostgreSQL's texts are
// UTF-8 without the character NUL.
func check(columns []projection.Column, values projection.Row) error {
	if len(values) != len(columns) {
		return fmt.Errorf("%d values for %d columns", len(values), len(columns))
	}
	for i, c := range columns {
		ok := false
		switch v := values[i].(type) {
		case string:
			ok = c.Type == projection.Text
			if ok && !isText(v) {
				return fmt.Errorf("column %s: not UTF-8 without NUL", c.Name)
			}
		case int64:
			ok = c.Type == projection.Integer
		case bool:
			ok = c.Type == projection.Boolean
		case []byte:
			ok = c.Type == digestType
		}
		if !ok {
			return fmt.Errorf("column %s: a value of type %T", c.Name, values[i])
		}
	}
	return nil
}

func isText(s string) bool {
	return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
}

// checkKeys does so for keys, and checkRows for whole rows.
func (t *table) checkKeys(keys []projection.Row) error {
	for _, key := range keys {
		if err := check(t.key, key); err != nil {
			return fmt.Errorf("a key of %s: %w", t.name, err)
		}
	}
	return nil
}

func (t *table) checkRows(rows []projection.Row) error {
	for _, row := range rows {
		if err := check(t.columns, row); err != nil {
			return fmt.Errorf("a row of %s: %w", t.name, err)
		}
	}
	return nil
}

// scan reads rows that have all of the columns.
func (t *table) scan(rows *sql.Rows) ([]projection.Row, error) {
	defer rows.Close()
	var all []projection.Row
	for rows.Next() {
		row, err := t.scanOne(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

func quoted(columns []projection.Column) []string {
	var names []string
	for _, c := range columns {
		names = append(names, strconv.Quote(c.Name))
	}
	return names
}

func join(list []string) string { return strings.Join(list, ", ") }

func and(conditions []string) string { return strings.Join(conditions, " AND ") }
