package balances

import (
	"context"
	_ "embed"
	"net/http"

	"github.com/gorilla/mux"

	"example.com/bank/handlers/accounts"
	"example.com/bank/values"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

//go:embed openapi.yaml
var openAPI []byte

// Model is the read model with its queries, as a service lists a read model.
var Model = query.Model{Projection: Projection, Routes: routes, OpenAPI: openAPI}

func routes(router *mux.Router, reader *query.Reader) {
	q := queries{reader}
	q.GetPages(router, "/accounts", q.page)
	q.Get(router, "/accounts/{id}", q.account)
	q.Get(router, "/stats/money", q.money)
}

type queries struct{ *query.Reader }

// account is an account as clients see accounts.
type account struct {
	ID string `json:"id"`
	// Number is empty for a closed account.
	Number  string `json:"number,omitempty"`
	Balance int64  `json:"balance"`
	Closed  bool   `json:"closed"`
	Version int64  `json:"version"`
	// Stale is set if the read model can't apply a later event.
	Stale bool `json:"stale,omitempty"`
}

// page answers GET /accounts, and GET /accounts?number=NUMBER with the account of
// a number.
func (q queries) page(w http.ResponseWriter, r *http.Request) error {
	parameters, err := query.Query(r, "limit", "after", "number")
	if err != nil {
		return err
	}
	limit, wrong := query.Limit(parameters)
	after, err := query.DecodeCursor(parameters.Get("after")) // the id of the last account of the page before
	if err != nil && parameters.Has("after") {
		wrong = append(wrong, web.FieldError{Parameter: "after", Detail: err.Error()})
	}
	// One account more than the page has shows whether there is another page.
	where, args := "id > $1 ORDER BY id LIMIT $2", []any{after, limit + 1}
	if parameters.Has("number") {
		number, err := values.ParseNumber(parameters.Get("number"))
		if err != nil {
			wrong = append(wrong, web.FieldError{Parameter: "number", Detail: err.Error()})
		}
		where, args = "number = $3 AND "+where, append(args, string(number))
	}
	if len(wrong) > 0 {
		return query.InvalidQuery(wrong)
	}
	var found []account
	err = q.Read(w, r, Projection, func(ctx context.Context, view query.View) (err error) {
		found, err = readAccounts(ctx, view, where, args...)
		return err
	})
	if err != nil {
		return err
	}
	if len(found) > limit {
		found = found[:limit]
		q.LinkNext(w, r, parameters, query.EncodeCursor(found[limit-1].ID))
	}
	web.WriteJSON(w, http.StatusOK, found)
	return nil
}

// account answers GET /accounts/{id}.
func (q queries) account(w http.ResponseWriter, r *http.Request) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	return q.ReadOne(w, r, Projection, accounts.Aggregate, func(ctx context.Context, view query.View, id string, _ query.StreamHead) (any, error) {
		found, err := readAccounts(ctx, view, "id = $1", id)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, query.NotFound(accounts.Aggregate)
		}
		return found[0], nil
	})
}

// readAccounts reads the accounts of a condition.
func readAccounts(ctx context.Context, view query.View, where string, args ...any) ([]account, error) {
	rows, err := view.Query(ctx, "SELECT id, number, balance, closed, version FROM {accounts} WHERE "+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found, streams := []account{}, []string{}
	for rows.Next() {
		var a account
		if err := rows.Scan(&a.ID, &a.Number, &a.Balance, &a.Closed, &a.Version); err != nil {
			return nil, err
		}
		found, streams = append(found, a), append(streams, accounts.Aggregate.Stream(a.ID))
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	parked, err := view.Parked(ctx, streams)
	for i := range found {
		_, found[i].Stale = parked[streams[i]]
	}
	return found, err
}
