package projection

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Projection makes a read model of the log: a pure function from rows and an
// event to rows. The engine does the rest: the gate, batches, rows and
// checkpoint in one transaction.
type Projection struct {
	// Name names the read model, its consumer group and its tables, such as
	// "orders": lower-case letters and digits. The name never changes after a
	// release.
	Name string
	// Version must go up when Apply or an upcast makes other rows of the same
	// log: stored rows must be rebuilt then. A change of Tables or Of needs no
	// new version.
	Version int
	// Of names the aggregates of the read model, such as "order"; empty for all
	// aggregates. Records of other aggregates reach neither Keys nor Apply.
	Of []string
	// Tables are the tables of the rows.
	Tables []Table
	// Keys returns the keys of all rows that Apply gets for an event. The
	// engine looks up the rows of a whole batch at once. Nil if Apply gets no
	// rows.
	Keys func(Event) []RowKey
	// Apply changes the rows by an event. Apply must be pure: no clock, no
	// random numbers, no input or output. An error parks the event's stream in
	// the read model.
	Apply func(Rows, Event) error
}

// IsOf says whether a stream belongs to the aggregates in Of.
func (p *Projection) IsOf(stream string) bool {
	if len(p.Of) == 0 {
		return true
	}
	name, _, ok := aggregate.SplitStream(stream)
	return ok && slices.Contains(p.Of, name)
}

// RowKeys calls Keys, if Keys is not nil.
func (p *Projection) RowKeys(e Event) []RowKey {
	if p.Keys == nil {
		return nil
	}
	return p.Keys(e)
}

// Event is an accepted record of the log: an event, or another outcome of a
// command.
type Event struct {
	eventlog.Record
	// AggregateID is the id in the stream's name.
	AggregateID string
	// Data is the decoded event, a pointer to the aggregate's type. An old
	// event is upcast to today's form: Data then has another type than
	// Record.Type. Data is nil for outcomes without an event, such as a
	// refusal. Other read models may get the same Data: don't change it.
	Data aggregate.AnyEvent
}

// TimeText is the time at which the command was accepted, as RFC 3339 in UTC
// with milliseconds: 2026-01-02T12:00:00.045Z. The texts sort by time.
func (e Event) TimeText() string { return eventlog.FormatTime(e.Time) }

// Decoder decodes events. [aggregate.Registry] implements Decoder.
type Decoder interface {
	// DecodeEvent reads the body of an event of a stream, in today's form. Any
	// error parks the stream in the read model; [aggregate.ErrUnknownEvent] is
	// for an event that only a newer binary knows.
	DecodeEvent(stream, eventType string, body []byte) (aggregate.AnyEvent, error)
}

// Table is a table of a read model.
type Table struct {
	// Name is lower snake_case, and unique in the projection.
	Name string
	// Columns of the primary key come first. A table has at least one.
	Columns []Column
	// Indexes are lists of columns, one for each index.
	Indexes [][]string
}

// Column is a column of a table. A column is never null.
type Column struct {
	Name string // lower snake_case
	Type Type
	Key  bool // part of the primary key
}

// Type is the type of a column.
type Type int

// The types of columns, with the Go type of the values in a [Row].
const (
	Text    Type = iota // string: UTF-8 without NUL; ordered bytewise
	Integer             // int64
	Boolean             // bool
)

// Row has a value for each column of a table, in the order of the columns: a
// string, an int64 or a bool.
type Row []any

// Text returns the text in column i, from 0. The result is "" for a nil row and
// for a column of another type.
func (r Row) Text(i int) string { return valueOf[string](r, i) }

// Integer returns the integer in column i, from 0. The result is 0 for a nil
// row and for a column of another type.
func (r Row) Integer(i int) int64 { return valueOf[int64](r, i) }

// Boolean returns the boolean in column i, from 0. The result is false for a
// nil row and for a column of another type.
func (r Row) Boolean(i int) bool { return valueOf[bool](r, i) }

func valueOf[T any](r Row, i int) (value T) {
	if r != nil {
		value, _ = r[i].(T)
	}
	return value
}

// RowKey names a row: the table, and the values of the key columns.
type RowKey struct {
	Table string
	Key   Row
}

// Rows are the rows of a read model, as Apply sees and changes the rows.
type Rows interface {
	// Get returns a copy of a row, nil if there is none. Get panics for a key
	// that [Projection.Keys] didn't return.
	Get(table string, key ...any) Row
	// Put sets all columns of a row. Put panics if the row doesn't fit the
	// table.
	Put(table string, row Row)
	// Delete removes a row, if there is one.
	Delete(table string, key ...any)
}

// KeyOf returns the key columns of a row.
func (t *Table) KeyOf(row Row) Row {
	n := 0
	for n < len(t.Columns) && t.Columns[n].Key {
		n++
	}
	return row[:n]
}

// Holds says whether a column of this type can hold a value, in every store.
func (t Type) Holds(value any) bool {
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
