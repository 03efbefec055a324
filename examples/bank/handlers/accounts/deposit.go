package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// maxBalance bounds deposits: clients in JavaScript read balances exactly.
const maxBalance = 1_000_000_000_000_000

// Deposit asks to put a customer's money into an account.
type Deposit struct {
	ID     values.ID     `json:"id"`
	Amount values.Amount `json:"amount"`
}

// Type is "deposit".
func (Deposit) Type() string { return "deposit" }

// AggregateID is the id of the account.
func (c Deposit) AggregateID() string { return string(c.ID) }

// Decide puts money into an open account.
func (c Deposit) Decide(a Account) (aggregate.Event[Account], error) {
	if err := a.takes(c.Amount); err != nil {
		return nil, err
	}
	return MoneyDeposited{ID: c.ID, Amount: c.Amount}, nil
}

// takes says why an account takes no such deposit, or nil.
func (a Account) takes(amount values.Amount) error {
	switch {
	case a.Status == Absent:
		return ErrNotFound
	case a.Status == Closed:
		return ErrClosed
	case a.Balance+int64(amount) > maxBalance:
		return ErrFull
	default:
		return nil
	}
}

// MoneyDeposited says that money came into an account. With a transfer the money
// comes from another account.
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
