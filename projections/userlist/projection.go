// Package userlist is the read model of the users: GET /users and GET
// /users/{id}.
package userlist

import (
	"fmt"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/router/projection"
)

const table = "users"

// Projection keeps a row for each user. The row of a deleted user stays, without
// the name and the address, so that the read API can tell deleted users from
// absent users.
var Projection = &projection.Projection{
	Name: "users",
	Of:   []string{"user"},
	Tables: []projection.Table{{
		Name: table,
		Columns: []projection.Column{
			{Name: "sort_key", Type: projection.Text, Key: true}, // users.ID.SortKey
			{Name: "id", Type: projection.Text},
			{Name: "name", Type: projection.Text},
			{Name: "version", Type: projection.Integer},
			{Name: "active", Type: projection.Boolean},
			{Name: "deleted", Type: projection.Boolean},
			{Name: "created_at", Type: projection.Text}, // RFC 3339
			{Name: "updated_at", Type: projection.Text},
			{Name: "email", Type: projection.Text}, // "" for none
		},
		// The columns that a list by name selects and sorts by.
		Indexes: [][]string{{"name", "deleted", "active", "sort_key"}},
	}},
	Keys:  keys,
	Apply: apply,
}

// The places of the columns in a row.
const (
	columnID        = 1
	columnName      = 2
	columnVersion   = 3
	columnActive    = 4
	columnDeleted   = 5
	columnCreatedAt = 6
	columnUpdatedAt = 7
	columnEmail     = 8
)

func keys(e projection.Event) []projection.RowKey {
	if e.Data == nil {
		return nil
	}
	return []projection.RowKey{{Table: table, Key: projection.Row{users.ID(e.AggregateID).SortKey()}}}
}

func apply(rows projection.Rows, e projection.Event) error {
	if e.Data == nil {
		return nil
	}
	var key, at any = users.ID(e.AggregateID).SortKey(), e.TimeText()
	row := rows.Get(table, key)
	if data, ok := e.Data.(*users.UserCreated); ok {
		row = projection.Row{key, e.AggregateID, string(data.Name), int64(0), true, false, at, at, ""}
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
	case *users.UserEmailChanged:
		row[columnEmail] = string(data.Email)
	case *users.UserDeleted:
		row[columnName], row[columnEmail], row[columnActive], row[columnDeleted] = "", "", false, true
	}
	// Any other event changes the version only.
	row[columnVersion], row[columnUpdatedAt] = int64(e.Version), at
	rows.Put(table, row)
	return nil
}
