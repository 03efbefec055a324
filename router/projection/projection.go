package projection

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Projection makes a read model of the log: a pure function from rows and an
// event to rows. The engine gates, batches, and keeps rows and checkpoint
// together; no author of a projection can forget it.
type Projection struct {
	// Name names the read model, its consumer group and its tables, as
	// "orders". It never changes.
	Name string
	// Version goes up when Apply, or an upcast of an aggregate, makes other rows
	// of the same log: the rows that are there must be made anew then. Other
	// Tables, and another Of, say so by themselves.
	Version int
	// Of names the aggregates that the read model is of; empty for all. Records
	// of other aggregates reach neither Keys nor Apply.
	Of []string
	// Tables hold its rows.
	Tables []Table
	// Keys names the rows that Apply will look at for this event, by table.
	// The engine fetches those of a whole batch at once. Nil if Apply looks at
	// no rows.
	Keys func(Event) []RowKey
	// Apply changes the rows by one event. It reads no clock and asks nobody.
	// An error parks the event's stream in this projection.
	Apply func(Rows, Event) error
}

// IsOf says whether the read model is of the aggregate of a stream.
func (p *Projection) IsOf(stream string) bool {
	if len(p.Of) == 0 {
		return true
	}
	name, _, ok := aggregate.SplitStream(stream)
	return ok && slices.Contains(p.Of, name)
}

// RowKeys are those of [Projection.Keys].
func (p *Projection) RowKeys(e Event) []RowKey {
	if p.Keys == nil {
		return nil
	}
	return p.Keys(e)
}

// Event is one accepted record of the log.
type Event struct {
	eventlog.Record
	// AggregateID is the id in the name of the record's stream.
	AggregateID string
	// Data is the aggregate's event in today's form: an old event is upcast, and
	// has another type than the record then. Data is nil for the outcome of a
	// command that made no event.
	Data aggregate.AnyEvent
}

// Decoder reads the events of the log. A registry of aggregates is one.
type Decoder interface {
	// DecodeEvent reads the body of an event of a stream, in today's form. An
	// [aggregate.ErrUnknownEvent], as any other error, parks the stream in the
	// read model.
	DecodeEvent(stream, eventType string, body []byte) (aggregate.AnyEvent, error)
}

// Table is a table of a read model.
type Table struct {
	// Name, lower snake_case, is unique in the projection.
	Name string
	// Columns, those of the primary key first.
	Columns []Column
	// Indexes are over these columns, each.
	Indexes [][]string
}

// Column is one column of a table. No column is ever null.
type Column struct {
	Name string // lower snake_case
	Type Type
	Key  bool // part of the primary key
}

// Type is what a column holds.
type Type int

// The types of columns, and of their values in a [Row].
const (
	Text    Type = iota // string of UTF-8 without NUL; ordered bytewise
	Integer             // int64
	Boolean             // bool
)

// Row has one value for each of its table's columns, in that order: string,
// int64 or bool.
type Row []any

// RowKey names a row: the table, and the values of the key's columns.
type RowKey struct {
	Table string
	Key   Row
}

// Rows are the rows that a projection works on.
type Rows interface {
	// Get returns a copy of a row, or nil if there is none. It panics for a key
	// that [Projection.Keys] didn't name: that is a bug in the projection.
	Get(table string, key ...any) Row
	// Put sets a row, whole.
	Put(table string, row Row)
	// Delete removes a row, if it is there.
	Delete(table string, key ...any)
}

// KeyOf is the part of a row that is its key.
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
