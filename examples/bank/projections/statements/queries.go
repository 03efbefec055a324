package statements

import (
	"context"
	_ "embed"
	"net/http"
	"strconv"

	"github.com/gorilla/mux"

	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

//go:embed openapi.yaml
var openAPI []byte

// Model is the read model with its query, as a service lists a read model.
var Model = query.Model{Projection: Projection, Routes: routes, OpenAPI: openAPI}

func routes(router *mux.Router, reader *query.Reader) {
	q := queries{reader}
	q.GetPages(router, "/accounts/{id}/statement", q.statement)
}

type queries struct{ *query.Reader }

// statementLine is a line as clients see lines.
type statementLine struct {
	Version  int64  `json:"version"`
	Time     string `json:"time"`
	What     string `json:"what"`
	Amount   int64  `json:"amount"`
	Balance  int64  `json:"balance"`
	Transfer string `json:"transfer,omitempty"`
}

// statement answers GET /accounts/{id}/statement, the oldest lines first.
func (q queries) statement(w http.ResponseWriter, r *http.Request) error {
	parameters, err := query.Query(r, "limit", "after")
	if err != nil {
		return err
	}
	limit, wrong := query.Limit(parameters)
	var after int64 // the version of the last line of the page before
	if parameters.Has("after") {
		if after, err = parseCursor(parameters.Get("after")); err != nil {
			wrong = append(wrong, web.FieldError{Parameter: "after", Detail: err.Error()})
		}
	}
	if len(wrong) > 0 {
		return query.InvalidQuery(wrong)
	}
	return q.ReadOne(w, r, Projection, accounts.Aggregate, func(ctx context.Context, view query.View, id string, _ query.StreamHead) (any, error) {
		// One line more than the page has shows whether there is another page.
		page, err := readLines(ctx, view, id, after, limit+1)
		if len(page) > limit {
			page = page[:limit]
			q.LinkNext(w, r, parameters, query.EncodeCursor(strconv.FormatInt(page[limit-1].Version, 10)))
		}
		return page, err
	})
}

// parseCursor reads the version in a cursor.
func parseCursor(cursor string) (int64, error) {
	key, err := query.DecodeCursor(cursor)
	if err != nil {
		return 0, err
	}
	version, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return 0, query.ErrCursor
	}
	return version, nil
}

// readLines reads up to limit lines of an account, after a version.
func readLines(ctx context.Context, view query.View, id string, after int64, limit int) ([]statementLine, error) {
	rows, err := view.Query(ctx, "SELECT version, time, what, amount, balance, transfer FROM {lines}"+
		" WHERE account = $1 AND version > $2 ORDER BY version LIMIT $3", id, after, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := []statementLine{}
	for rows.Next() {
		var l statementLine
		if err := rows.Scan(&l.Version, &l.Time, &l.What, &l.Amount, &l.Balance, &l.Transfer); err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	return found, rows.Err()
}
