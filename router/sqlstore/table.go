package sqlstore

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/router/projection"
)

// table is a table in the database, and its statements. Rows have the order of
// columns, the key first.
type table struct {
	name    string // in the database
	columns []projection.Column
	key     []projection.Column // the columns of the primary key
	indexes [][]string
	// scope is further columns at the beginning of the primary key, each with
	// the same value in all rows.
	scope scope

	get, delete string
	getOne      string // get for one key, "" for none
	getParked   string // for heads only: the parked heads among the keys
	allParked   string // for heads only: the parked heads, by key
	// puts are INSERTs for several numbers of rows, the largest first and 1
	// last. A single INSERT for 0 rows takes any number. inserts, for heads
	// only, are puts for new keys.
	puts, inserts []putText
}

// putText is an INSERT for a number of rows.
type putText struct {
	rows int
	text string
}

// scope is a list of columns with a value each, in SQL.
type scope []struct{ column, value string }

// columns and values return the two sides, and conditions the equations.
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

// digestType is the type of digests, in bookkeeping tables only.
const digestType projection.Type = -1

// maxName is the longest name in bytes: PostgreSQL truncates longer names.
const maxName = 63

// newTable returns a table of a read model. The definition is checked already.
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

// headsOf returns the table of a read model's stream heads.
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
	t.inserts = t.insertsOr(d, d.insertOr())
	t.getParked = fmt.Sprintf("SELECT %s FROM %s %s WHERE %s AND parked <> ''",
		join(quoted(t.columns)), t.name, d.byIndex("heads_parked"), d.where(t))
	t.allParked = fmt.Sprintf("SELECT %s FROM %s %s WHERE %s AND parked <> '' ORDER BY %s",
		join(quoted(t.columns)), t.name, d.byIndex("heads_parked"), and(t.scope.conditions()), join(quoted(t.key)))
	return t
}

// write fills in the statements.
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
	if one := d.whereOne(t); one != "" {
		t.getOne = fmt.Sprintf("SELECT %s FROM %s WHERE %s", join(quoted(t.columns)), t.name, one)
	}
	t.delete = fmt.Sprintf("DELETE FROM %s WHERE %s", t.name, where)
	t.puts = t.insertsOr(d, on)
}

// insertsOr are INSERTs that do something else for a row whose key is there; with
// "" they fail.
func (t *table) insertsOr(d dialect, do string) (texts []putText) {
	on := ""
	if do != "" {
		on = fmt.Sprintf(" ON CONFLICT (%s) DO %s", join(append(t.scope.columns(), quoted(t.key)...)), do)
	}
	for _, rows := range d.putRows() {
		texts = append(texts, putText{rows, fmt.Sprintf("INSERT INTO %s (%s) %s%s", t.name,
			join(append(t.scope.columns(), quoted(t.columns)...)), d.source(t, rows), on)})
	}
	return texts
}

// getFor is the query for a number of keys.
func (t *table) getFor(keys int) string {
	if keys == 1 && t.getOne != "" {
		return t.getOne
	}
	return t.get
}

// updates are the statements of updates.
func (t *table) updates() []string {
	list := []string{t.get, t.delete}
	if t.getOne != "" {
		list = append(list, t.getOne)
	}
	for _, put := range slices.Concat(t.puts, t.inserts) {
		list = append(list, put.text)
	}
	return list
}

// writing tells the place of an error.
func (t *table) writing(err error) error { return fmt.Errorf("write %s: %w", t.name, err) }

// describe is a column in a definition.
func describe(name, typeName string, key bool) string {
	if key {
		return name + " " + typeName + " key"
	}
	return name + " " + typeName
}

// createTable is a statement that creates the table, with the types of typeOf.
func (t *table) createTable(typeOf func(projection.Type) string) string {
	var lines []string
	for _, c := range t.columns {
		lines = append(lines, fmt.Sprintf("%q %s NOT NULL", c.Name, typeOf(c.Type)))
	}
	lines = append(lines, "PRIMARY KEY ("+join(quoted(t.key))+")")
	return fmt.Sprintf("CREATE TABLE %s (\n\t%s\n)", t.name, strings.Join(lines, ",\n\t"))
}

// createIndex is a statement that creates an index, if missing.
func (t *table) createIndex(columns []string) string {
	var names []string
	for _, c := range columns {
		names = append(names, strconv.Quote(c))
	}
	return fmt.Sprintf("CREATE INDEX IF NOT EXISTS %s ON %s (%s)", t.indexName(columns), t.name, join(names))
}

// indexName contains the columns, so different indexes have different names.
func (t *table) indexName(columns []string) string {
	return t.name + "__" + strings.Join(columns, "__")
}

// check returns an error if a value doesn't fit its column. Values that one
// database refuses are refused for all: PostgreSQL's texts are UTF-8 without
// NUL.
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

// checkKeys checks keys, and checkRows checks whole rows.
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

// scan reads rows with all columns of the table.
func (t *table) scan(rows scanner) (all []projection.Row, err error) {
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

// lastGeneration is the highest number of a generation whose tables surely have
// names that fit.
const lastGeneration = 99_999

// CheckNames says which name of a read model's tables is too long for a
// database. The names of tables and indexes in the database are made of the
// names of the read model, the table and the columns, and of the number of the
// generation. PostgreSQL cuts names off at 63 bytes.
func CheckNames(p *projection.Projection) error {
	for _, def := range p.Tables {
		tooLong := func(what, name string) error {
			return fmt.Errorf("table %q: %s would have a name of %d characters in the database, and at most %d are possible: %s",
				def.Name, what, len(name), maxName, name)
		}
		t := &table{name: p.Name + "_" + def.Name + "_" + strconv.Itoa(lastGeneration)}
		if len(t.name) > maxName {
			return tooLong("the table", t.name)
		}
		for _, c := range def.Columns {
			if len(c.Name) > maxName {
				return tooLong("a column", c.Name)
			}
		}
		for _, index := range def.Indexes {
			if name := t.indexName(index); len(name) > maxName {
				return tooLong("the index over "+strings.Join(index, ", "), name)
			}
		}
	}
	return nil
}
