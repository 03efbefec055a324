package query_test

import (
	"errors"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/projection/projectiontest"
	"github.com/millrace/millrace/router/projection/projectiontest/orders"
)

// names returns a read model for tests: the name and the number of events of
// each order. Apply fails for an order called "broken".
func names() *projection.Projection {
	return &projection.Projection{
		Name: "names",
		Tables: []projection.Table{{Name: "names", Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true},
			{Name: "name", Type: projection.Text},
			{Name: "events", Type: projection.Integer},
		}}},
		Keys: func(e projection.Event) []projection.RowKey {
			return []projection.RowKey{{Table: "names", Key: projection.Row{e.AggregateID}}}
		},
		Apply: func(rows projection.Rows, e projection.Event) error {
			row := rows.Get("names", e.AggregateID)
			if row == nil {
				row = projection.Row{e.AggregateID, "", int64(0)}
			}
			switch data := e.Data.(type) {
			case *orders.OrderPlaced:
				row[1] = data.Name
			case *orders.OrderRenamed:
				row[1] = data.Name
			}
			if row[1] == "broken" {
				return errors.New("can't be applied")
			}
			row[2] = row.Integer(2) + 1
			rows.Put("names", row)
			return nil
		},
	}
}

func placed(log *projectiontest.Log, id, name string) {
	log.Event(orders.Aggregate, orders.OrderPlaced{ID: id, Name: name})
}

func renamed(log *projectiontest.Log, id, name string) {
	log.Event(orders.Aggregate, orders.OrderRenamed{ID: id, Name: name})
}
