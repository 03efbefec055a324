package service

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
	"github.com/millrace/millrace/router/web"
)

// orderList is the read model of the orders as they are: GET /orders/{id}. It is
// handed no other aggregate's records.
var orderList = query.Model{
	Projection: &projection.Projection{
		Name: "orders",
		Of:   []string{"order"},
		Tables: []projection.Table{{Name: "orders", Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true},
			{Name: "pieces", Type: projection.Integer},
			{Name: "paid", Type: projection.Boolean},
		}}},
		Keys: func(e projection.Event) []projection.RowKey {
			return []projection.RowKey{{Table: "orders", Key: projection.Row{e.AggregateID}}}
		},
		Apply: func(rows projection.Rows, e projection.Event) error {
			row := rows.Get("orders", e.AggregateID)
			if row == nil {
				row = projection.Row{e.AggregateID, int64(0), false}
			}
			pieces, _ := row[1].(int64)
			switch data := e.Data.(type) {
			case *itemAdded:
				row[1] = pieces + 1
			case *piecesAdded:
				row[1] = pieces + int64(data.Pieces)
			case *orderPaid:
				row[2] = true
			case nil:
				return nil
			default:
				return fmt.Errorf("%s is no event of an order", e.Type)
			}
			rows.Put("orders", row)
			return nil
		},
	},
}

// orderRow is an answer of GET /orders/{id}.
type orderRow struct {
	ID     string `json:"id"`
	Pieces int    `json:"pieces"`
	Paid   bool   `json:"paid"`
}

// orderListOf is the read model of a release of the aggregate.
func orderListOf(of *aggregate.Type) query.Model {
	m := orderList
	m.Routes = func(router *mux.Router, reader *query.Reader) {
		reader.Get(router, "/orders/{id}", func(w http.ResponseWriter, r *http.Request) error {
			id, ok := query.PathID(r, of)
			if !ok {
				return query.NotFound(of)
			}
			found := orderRow{ID: id}
			err := reader.Read(w, r, m.Projection, func(ctx context.Context, view readmodel.View) error {
				rows, err := view.Query(ctx, "SELECT pieces, paid FROM {orders} WHERE id = $1", id)
				if err != nil {
					return err
				}
				defer rows.Close()
				if !rows.Next() {
					return query.NotFound(of)
				}
				if err := rows.Scan(&found.Pieces, &found.Paid); err != nil {
					return err
				}
				return rows.Err()
			})
			if err == nil {
				web.WriteJSON(w, http.StatusOK, found)
			}
			return err
		})
	}
	return m
}
