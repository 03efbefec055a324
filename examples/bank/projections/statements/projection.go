// Package statements is the read model of the statements: GET
// /accounts/{id}/statement.
package statements

import (
	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/projection"
)

// The tables.
const (
	tableBalances = "balances"
	tableLines    = "lines"
)

// Projection keeps a line for each change of a balance, with the balance after
// the change.
var Projection = &projection.Projection{
	Name: "statements",
	Of:   []string{"account"},
	Tables: []projection.Table{
		{Name: tableBalances, Columns: []projection.Column{
			{Name: "account", Type: projection.Text, Key: true},
			{Name: "balance", Type: projection.Integer},
		}},
		{Name: tableLines, Columns: []projection.Column{
			{Name: "account", Type: projection.Text, Key: true},
			{Name: "version", Type: projection.Integer, Key: true}, // of the account: the order of the lines
			{Name: "time", Type: projection.Text},
			{Name: "what", Type: projection.Text},
			{Name: "amount", Type: projection.Integer}, // negative if the money left the account
			{Name: "balance", Type: projection.Integer},
			{Name: "transfer", Type: projection.Text},
		}},
	},
	Keys:  keys,
	Apply: apply,
}

// line is what an event says on a statement.
type line struct {
	what, transfer string
	amount         int64
}

// lineOf is the line of an event, nil for an event without money.
func lineOf(e projection.Event) *line {
	switch data := e.Data.(type) {
	case *accounts.MoneyDeposited:
		return &line{"deposit", string(data.Transfer), int64(data.Amount)}
	case *accounts.MoneyWithdrawn:
		return &line{"withdrawal", string(data.Transfer), -int64(data.Amount)}
	case *accounts.MoneyPaidBack:
		return &line{"paidBack", string(data.Transfer), int64(data.Amount)}
	default:
		return nil
	}
}

// keys names the row that apply asks for.
func keys(e projection.Event) []projection.RowKey {
	return []projection.RowKey{{Table: tableBalances, Key: projection.Row{e.AggregateID}}}
}

// apply adds the line of one event.
func apply(rows projection.Rows, e projection.Event) error {
	l := lineOf(e)
	if l == nil {
		return nil
	}
	balance := rows.Get(tableBalances, e.AggregateID).Integer(1) + l.amount
	rows.Put(tableBalances, projection.Row{e.AggregateID, balance})
	rows.Put(tableLines, projection.Row{e.AggregateID, int64(e.Version), e.TimeText(), l.what, l.amount, balance, l.transfer})
	return nil
}
