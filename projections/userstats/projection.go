// Package userstats is the read model of the number of users, and of the days
// when users signed up: GET /stats/users.
package userstats

import (
	"fmt"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
)

// The tables. Users of all partitions share the rows of counts and signups, so an
// event applied twice would show for ever.
const (
	tableUsers   = "users"
	tableCounts  = "counts"
	tableSignups = "signups"
)

// The states of a user: the keys of counts.
const (
	active   = "active"
	inactive = "inactive"
	deleted  = "deleted"
)

// Projection counts users by state, and by the day of creation (in UTC). The
// state of each user is kept, because an event tells the new state only.
var Projection = &projection.Projection{
	Name: "stats",
	Of:   []string{"user"},
	Tables: []projection.Table{
		{Name: tableUsers, Columns: []projection.Column{
			{Name: "stream", Type: projection.Text, Key: true},
			{Name: "state", Type: projection.Text},
		}},
		{Name: tableCounts, Columns: []projection.Column{
			{Name: "state", Type: projection.Text, Key: true},
			{Name: "users", Type: projection.Integer},
		}},
		{Name: tableSignups, Columns: []projection.Column{
			{Name: "day", Type: projection.Text, Key: true}, // as 2026-01-02
			{Name: "users", Type: projection.Integer},
		}},
	},
	Keys:  keys,
	Apply: apply,
}

// dayOf is the day of an event, in UTC.
func dayOf(e *projection.Event) string { return e.Time.UTC().Format("2006-01-02") }

// countKeys are the keys of all counts.
var countKeys = []projection.RowKey{
	{Table: tableCounts, Key: projection.Row{active}},
	{Table: tableCounts, Key: projection.Row{inactive}},
	{Table: tableCounts, Key: projection.Row{deleted}},
}

func keys(e projection.Event) []projection.RowKey {
	if stateAfter(e.Data) == "" {
		return nil
	}
	keys := append(make([]projection.RowKey, 0, 5), countKeys...)
	keys = append(keys, projection.RowKey{Table: tableUsers, Key: projection.Row{e.Stream}})
	if _, created := e.Data.(*users.UserCreated); created {
		keys = append(keys, projection.RowKey{Table: tableSignups, Key: projection.Row{dayOf(&e)}})
	}
	return keys
}

// stateAfter is the state of a user after an event, "" for an event without an
// effect on the state.
func stateAfter(event aggregate.AnyEvent) string {
	switch event.(type) {
	case *users.UserCreated, *users.UserReactivated:
		return active
	case *users.UserDeactivated:
		return inactive
	case *users.UserDeleted:
		return deleted
	default:
		return ""
	}
}

func apply(rows projection.Rows, e projection.Event) error {
	to := stateAfter(e.Data)
	if to == "" {
		return nil
	}
	row := rows.Get(tableUsers, e.Stream)
	_, created := e.Data.(*users.UserCreated)
	switch {
	case created:
		add(rows, tableSignups, dayOf(&e), 1)
	case row == nil:
		return fmt.Errorf("%s of a user who was never created", e.Type)
	default:
		add(rows, tableCounts, row[1], -1)
	}
	add(rows, tableCounts, to, 1)
	rows.Put(tableUsers, projection.Row{e.Stream, to})
	return nil
}

// add adds to the count of a key in a table.
func add(rows projection.Rows, table string, key any, n int64) {
	rows.Put(table, projection.Row{key, rows.Get(table, key).Integer(1) + n})
}
