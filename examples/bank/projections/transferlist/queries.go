package transferlist

import (
	"context"
	_ "embed"
	"net/http"

	"github.com/gorilla/mux"

	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/query"
)

//go:embed openapi.yaml
var openAPI []byte

// Model is the read model with its query, as a service lists a read model.
var Model = query.Model{Projection: Projection, Routes: routes, OpenAPI: openAPI}

func routes(router *mux.Router, reader *query.Reader) {
	q := queries{reader}
	q.Get(router, "/transfers/{id}", q.transfer)
}

type queries struct{ *query.Reader }

// transfer is a transfer as clients see transfers.
type transfer struct {
	ID          string `json:"id"`
	From        string `json:"from"`
	To          string `json:"to"`
	Amount      int64  `json:"amount"`
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	RequestedAt string `json:"requestedAt"`
	UpdatedAt   string `json:"updatedAt"`
	Version     int64  `json:"version"`
	// Stale is set if the read model can't apply a later event.
	Stale bool `json:"stale,omitempty"`
}

// transfer answers GET /transfers/{id}.
func (q queries) transfer(w http.ResponseWriter, r *http.Request) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	return q.ReadOne(w, r, Projection, transfers.Aggregate, func(ctx context.Context, view query.View, id string, head query.StreamHead) (any, error) {
		rows, err := view.Rows(ctx, tableTransfers, []projection.Row{{id}})
		if err != nil {
			return nil, err
		}
		row := rows[0]
		return transfer{
			ID: row.Text(0), From: row.Text(1), To: row.Text(2), Amount: row.Integer(3), Status: row.Text(columnStatus), Reason: row.Text(columnReason),
			RequestedAt: row.Text(6), UpdatedAt: row.Text(columnUpdatedAt), Version: row.Integer(columnVersion), Stale: head.Parked != "",
		}, nil
	})
}
