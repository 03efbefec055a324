package balances

import (
	"context"
	"net/http"

	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/web"
)

// money is all money of the bank, in cents. Whatever is under way,
//
//	deposited - withdrawn = balances + inTransit
type money struct {
	Accounts int64 `json:"accounts"` // how many, with closed accounts
	Balances int64 `json:"balances"`
	// InTransit is withdrawn for transfers and neither deposited nor paid back. The
	// read model may see a deposit before its withdrawal, because the two accounts
	// are in different partitions of the log; the sum is too small by that amount
	// then.
	InTransit int64 `json:"inTransit"`
	Deposited int64 `json:"deposited"`
	Withdrawn int64 `json:"withdrawn"`
}

// money answers GET /stats/money.
func (q queries) money(w http.ResponseWriter, r *http.Request) error {
	if _, err := query.Query(r); err != nil {
		return err
	}
	var all money
	err := q.Read(w, r, Projection, func(ctx context.Context, view query.View) (err error) {
		all, err = readMoney(ctx, view)
		return err
	})
	if err != nil {
		return err
	}
	web.WriteJSON(w, http.StatusOK, all)
	return nil
}

// readMoney adds up the balances, and reads the sums, which are kept apart from
// the balances.
func readMoney(ctx context.Context, view query.View) (all money, err error) {
	rows, err := view.Query(ctx, "SELECT 'balances', COUNT(*), CAST(COALESCE(SUM(balance), 0) AS BIGINT) FROM {accounts}"+
		" UNION ALL SELECT way, 0, amount FROM {money}")
	if err != nil {
		return all, err
	}
	defer rows.Close()
	for rows.Next() {
		var way string
		var count, amount int64
		if err := rows.Scan(&way, &count, &amount); err != nil {
			return all, err
		}
		switch way {
		case "balances":
			all.Accounts, all.Balances = count, amount
		case inTransit:
			all.InTransit = amount
		case deposited:
			all.Deposited = amount
		case withdrawn:
			all.Withdrawn = amount
		}
	}
	return all, rows.Err()
}
