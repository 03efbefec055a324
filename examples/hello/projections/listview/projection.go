// Package listview is the read model of the lists: GET /lists and GET
// /lists/{id}.
package listview

import (
	"example.com/hello/handlers/lists"
	"github.com/millrace/millrace/router/projection"
)

// The tables.
const (
	tableLists = "lists"
	tableItems = "items"
)

// Projection keeps a row for each list, and a row for each item.
var Projection = &projection.Projection{
	Name: "lists",
	Of:   []string{"list"},
	Tables: []projection.Table{
		{Name: tableLists, Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true},
			{Name: "title", Type: projection.Text},
			{Name: "items", Type: projection.Integer},
			{Name: "closed", Type: projection.Boolean},
			{Name: "version", Type: projection.Integer},
			{Name: "created_at", Type: projection.Text},
			{Name: "updated_at", Type: projection.Text},
		}},
		{Name: tableItems, Columns: []projection.Column{
			{Name: "list", Type: projection.Text, Key: true},
			{Name: "item", Type: projection.Text, Key: true},
			{Name: "quantity", Type: projection.Integer},
			{Name: "checked", Type: projection.Boolean},
			{Name: "added_in", Type: projection.Integer}, // the version of the list: the order of the items
		}},
	},
	Keys:  keys,
	Apply: apply,
}

// The places of some columns in a row.
const (
	columnItems     = 2
	columnClosed    = 3
	columnVersion   = 4
	columnUpdatedAt = 6

	columnChecked = 3
)

// keys names the rows that apply asks for.
func keys(e projection.Event) []projection.RowKey {
	named := []projection.RowKey{{Table: tableLists, Key: projection.Row{e.AggregateID}}}
	if checked, ok := e.Data.(*lists.ItemChecked); ok {
		named = append(named, projection.RowKey{Table: tableItems, Key: projection.Row{e.AggregateID, string(checked.Item)}})
	}
	return named
}

// apply changes the rows of a list by one event of the list.
func apply(rows projection.Rows, e projection.Event) error {
	if e.Data == nil { // a command that was refused, or changed nothing
		return nil
	}
	at := e.TimeText()
	list := rows.Get(tableLists, e.AggregateID)
	switch data := e.Data.(type) {
	case *lists.ListCreated:
		list = projection.Row{e.AggregateID, string(data.Title), int64(0), false, int64(0), at, ""}
	case *lists.ItemAdded:
		list[columnItems] = list.Integer(columnItems) + 1
		rows.Put(tableItems, projection.Row{e.AggregateID, string(data.Item), int64(data.Quantity), false, int64(e.Version)})
	case *lists.ItemChecked:
		item := rows.Get(tableItems, e.AggregateID, string(data.Item))
		item[columnChecked] = true
		rows.Put(tableItems, item)
	case *lists.ItemRemoved:
		list[columnItems] = list.Integer(columnItems) - 1
		rows.Delete(tableItems, e.AggregateID, string(data.Item))
	case *lists.ListClosed:
		list[columnClosed] = true
	}
	list[columnVersion], list[columnUpdatedAt] = int64(e.Version), at
	rows.Put(tableLists, list)
	return nil
}
