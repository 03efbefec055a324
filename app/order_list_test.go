package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/millrace/millrace/projections"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/web"
)

// orderList is the read model of the orders as they are: GET /orders/{id}. It is
// handed no other aggregate's records.
var orderList = projections.Model{
	Projection: &projections.Projection{
		Name: "orders",
		Of:   []string{"order"},
		Tables: []projections.Table{{Name: "orders", Columns: []projections.Column{
			{Name: "id", Type: projections.Text, Key: true},
			{Name: "pieces", Type: projections.Integer},
			{Name: "paid", Type: projections.Boolean},
		}}},
		Keys: func(e projections.Event) []projections.RowKey {
			return []projections.RowKey{{Table: "orders", Key: projections.Row{e.AggregateID}}}
		},
		Apply: func(rows projections.Rows, e projections.Event) error {
			row := rows.Get("orders", e.AggregateID)
			if row == nil {
				row = projections.Row{e.AggregateID, int64(0), false}
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
func orderListOf(of *aggregate.Type) projections.Model {
	m := orderList
	m.Routes = func(router *mux.Router, reader *projections.Reader) {
		reader.Get(router, "/orders/{id}", func(w http.ResponseWriter, r *http.Request) error {
			id, ok := projections.PathID(r, of)
			if !ok {
				return projections.NotFound(of)
			}
			found := orderRow{ID: id}
			err := reader.Read(w, r, m.Projection, func(ctx context.Context, view projections.View) error {
				rows, err := view.Query(ctx, "SELECT pieces, paid FROM {orders} WHERE id = $1", id)
				if err != nil {
					return err
				}
				defer rows.Close()
				if !rows.Next() {
					return projections.NotFound(of)
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
