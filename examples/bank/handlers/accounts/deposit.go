package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// maxBalance bounds deposits: clients in JavaScript read balances exactly.
const maxBalance = 1_000_000_000_000_000

// Deposit asks to put money into an account. With a transfer the money comes
// from another account.
type Deposit struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer,omitempty"`
}

// Type is "deposit".
func (Deposit) Type() string { return "deposit" }

// AggregateID is the id of the account.
func (c Deposit) AggregateID() string { return string(c.ID) }

// Decide puts money into an open account.
func (c Deposit) Decide(a Account) (aggregate.Event[Account], error) {
	switch {
	case a.Status == Absent:
		return nil, ErrNotFound
	case a.Status == Closed:
		return nil, ErrClosed
	case a.Balance+int64(c.Amount) > maxBalance:
		return nil, ErrFull
	}
	return MoneyDeposited(c), nil
}

// MoneyDeposited says that money came into an account.
type MoneyDeposited struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer,omitempty"`
}

// Type is "moneyDeposited".
func (MoneyDeposited) Type() string { return "moneyDeposited" }

// AggregateID is the id of the account.
func (e MoneyDeposited) AggregateID() string { return string(e.ID) }

// Apply adds the amount.
func (e MoneyDeposited) Apply(a Account) Account {
	a.Balance += int64(e.Amount)
	return a
}
