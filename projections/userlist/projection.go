// Package userlist is the read model of the users as they are: GET /users
// and GET /users/{id}.
package userlist

import (
	"fmt"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/projections"
)

const table = "users"

// Projection keeps a row for each user. A deleted user keeps one too, without
// the name, so that the read API can tell deleted from never created.
var Projection = &projections.Projection{
	Name: "users",
	Of:   []string{"user"},
	Tables: []projections.Table{{
		Name: table,
		Columns: []projections.Column{
			{Name: "sort_key", Type: projections.Text, Key: true}, // users.ID.SortKey
			{Name: "id", Type: projections.Text},
			{Name: "name", Type: projections.Text},
			{Name: "version", Type: projections.Integer},
			{Name: "active", Type: projections.Boolean},
			{Name: "deleted", Type: projections.Boolean},
			{Name: "created_at", Type: projections.Text}, // see timeLayout
			{Name: "updated_at", Type: projections.Text},
		},
		// All that a list by name selects and sorts by.
		Indexes: [][]string{{"name", "deleted", "active", "sort_key"}},
	}},
	Keys:  keys,
	Apply: apply,
}

// Where in a row its values are.
const (
	columnID        = 1
	columnName      = 2
	columnVersion   = 3
	columnActive    = 4
	columnDeleted   = 5
	columnCreatedAt = 6
	columnUpdatedAt = 7
)

// timeLayout is RFC 3339 in UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

func keys(e projections.Event) []projections.RowKey {
	if e.Data == nil {
		return nil
	}
	return []projections.RowKey{{Table: table, Key: projections.Row{users.ID(e.AggregateID).SortKey()}}}
}

func apply(rows projections.Rows, e projections.Event) error {
	if e.Data == nil {
		return nil
	}
	var key, at any = users.ID(e.AggregateID).SortKey(), e.Time.UTC().Format(timeLayout)
	row := rows.Get(table, key)
	if data, ok := e.Data.(*users.UserCreated); ok {
		row = projections.Row{key, e.AggregateID, string(data.Name), int64(0), true, false, at, at}
	}
	if row == nil {
		return fmt.Errorf("%s of a user who was never created", e.Type)
	}
	switch data := e.Data.(type) {
	case *users.UserRenamed:
		row[columnName] = string(data.Name)
	case *users.UserDeactivated:
		row[columnActive] = false
	case *users.UserReactivated:
		row[columnActive] = true
	case *users.UserDeleted:
		row[columnName], row[columnActive], row[columnDeleted] = "", false, true
	}
	// Any other event has nothing to show here, but counts.
	row[columnVersion], row[columnUpdatedAt] = int64(e.Version), at
	rows.Put(table, row)
	return nil
}
