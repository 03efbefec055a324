package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// Withdraw asks to take money out of an account, for the customer.
type Withdraw struct {
	ID     values.ID     `json:"id"`
	Amount values.Amount `json:"amount"`
}

// Type is "withdraw".
func (Withdraw) Type() string { return "withdraw" }

// AggregateID is the id of the account.
func (c Withdraw) AggregateID() string { return string(c.ID) }

// Decide takes at most the balance.
func (c Withdraw) Decide(a Account) (aggregate.Event[Account], error) {
	if err := a.gives(c.Amount); err != nil {
		return nil, err
	}
	return MoneyWithdrawn{ID: c.ID, Amount: c.Amount}, nil
}

// gives says why an account gives no such amount, or nil. A closed account may have
// a balance too, paid back by a transfer.
func (a Account) gives(amount values.Amount) error {
	switch {
	case a.Status == Absent:
		return ErrNotFound
	case a.Balance < int64(amount):
		return ErrNoMoney
	default:
		return nil
	}
}

// MoneyWithdrawn says that money left an account. With a transfer the money goes to
// another account.
type MoneyWithdrawn struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer,omitempty"`
}

// Type is "moneyWithdrawn".
func (MoneyWithdrawn) Type() string { return "moneyWithdrawn" }

// AggregateID is the id of the account.
func (e MoneyWithdrawn) AggregateID() string { return string(e.ID) }

// Apply takes the amount off.
func (e MoneyWithdrawn) Apply(a Account) Account {
	a.Balance -= int64(e.Amount)
	return a
}
