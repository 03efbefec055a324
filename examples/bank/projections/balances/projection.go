// Package balances is the read model of the balances: GET /accounts, GET
// /accounts/{id}, and all money of the bank, GET /stats/money.
package balances

import (
	"example.com/bank/handlers/accounts"
	"example.com/bank/values"
	"github.com/millrace/millrace/router/projection"
)

// The tables.
const (
	tableAccounts = "accounts"
	tableMoney    = "money"
)

// Projection keeps a row for each account, and a sum for each way that money
// goes.
var Projection = &projection.Projection{
	Name: "balances",
	Of:   []string{"account"},
	Tables: []projection.Table{
		{Name: tableAccounts, Columns: []projection.Column{
			{Name: "id", Type: projection.Text, Key: true},
			{Name: "number", Type: projection.Text},
			{Name: "balance", Type: projection.Integer},
			{Name: "closed", Type: projection.Boolean},
			{Name: "version", Type: projection.Integer},
		}, Indexes: [][]string{{"number"}}},
		{Name: tableMoney, Columns: []projection.Column{
			{Name: "way", Type: projection.Text, Key: true},
			{Name: "amount", Type: projection.Integer},
		}},
	},
	Keys:  keys,
	Apply: apply,
}

// The places of some columns in a row.
const (
	columnNumber  = 1
	columnBalance = 2
	columnClosed  = 3
	columnVersion = 4
)

// The ways of money: into the bank, out of the bank, and from an account into a
// transfer. The last sum is the money on the way.
const (
	deposited = "deposited"
	withdrawn = "withdrawn"
	inTransit = "inTransit"
)

// move is a change of a balance: an amount, negative if the money leaves the
// account, and the way.
type move struct {
	amount int64
	way    string
}

// moveOf is the move of an event, nil for an event without money.
func moveOf(e projection.Event) *move {
	switch data := e.Data.(type) {
	case *accounts.MoneyDeposited:
		return &move{int64(data.Amount), way(data.Transfer, deposited)}
	case *accounts.MoneyWithdrawn:
		return &move{-int64(data.Amount), way(data.Transfer, withdrawn)}
	case *accounts.MoneyPaidBack:
		return &move{int64(data.Amount), inTransit}
	default:
		return nil
	}
}

// way is the way of money with or without a transfer.
func way(transfer values.ID, without string) string {
	if transfer != "" {
		return inTransit
	}
	return without
}

// keys names the rows that apply asks for.
func keys(e projection.Event) []projection.RowKey {
	named := []projection.RowKey{{Table: tableAccounts, Key: projection.Row{e.AggregateID}}}
	if m := moveOf(e); m != nil {
		named = append(named, projection.RowKey{Table: tableMoney, Key: projection.Row{m.way}})
	}
	return named
}

// apply changes the rows by one event of an account.
func apply(rows projection.Rows, e projection.Event) error {
	if e.Data == nil { // a command that was refused, or changed nothing
		return nil
	}
	account := rows.Get(tableAccounts, e.AggregateID)
	switch data := e.Data.(type) {
	case *accounts.AccountOpened:
		account = projection.Row{e.AggregateID, string(data.Number), int64(0), false, int64(0)}
	case *accounts.AccountClosed:
		account[columnNumber], account[columnClosed] = "", true
	}
	if m := moveOf(e); m != nil {
		account[columnBalance] = account.Integer(columnBalance) + m.amount
		sum := rows.Get(tableMoney, m.way).Integer(1)
		if m.way == deposited {
			sum += m.amount
		} else {
			sum -= m.amount
		}
		rows.Put(tableMoney, projection.Row{m.way, sum})
	}
	account[columnVersion] = int64(e.Version)
	rows.Put(tableAccounts, account)
	return nil
}
