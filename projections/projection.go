package projections

import (
	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// Projection makes a read model of the log: a pure function from rows and an
// event to rows. The engine gates, batches, and keeps rows and checkpoint
// together; no author of a projection can forget it.
type Projection struct {
	// Name names the read model, its consumer group and its tables, as
	// "users". It never changes.
	Name string
	// Version goes up when Apply makes other rows of the same log, so that
	// those that are there must be made anew. Other Tables say so by
	// themselves.
	Version int
	// Tables hold its rows.
	Tables []Table
	// Keys names the rows that Apply will look at for this event, by table.
	// The engine fetches those of a whole batch at once.
	Keys func(Event) []RowKey
	// Apply changes the rows by one event. It reads no clock and asks nobody.
	// An error parks the event's stream in this projection.
	Apply func(Rows, Event) error
}

// Event is one accepted record of the log.
type Event struct {
	messaging.Record
	// Data is the domain's event, or nil for the outcome of a command that
	// made none.
	Data users.Event
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
