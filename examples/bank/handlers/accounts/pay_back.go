package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// PayBack asks to put the money of a failed transfer back.
type PayBack struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer"`
}

// Type is "payBack".
func (PayBack) Type() string { return "payBack" }

// AggregateID is the id of the account.
func (c PayBack) AggregateID() string { return string(c.ID) }

// Decide never refuses an account that has existed: the money would be lost. The
// account may be closed by now, and may have any balance.
func (c PayBack) Decide(a Account) (aggregate.Event[Account], error) {
	if a.Status == Absent {
		return nil, ErrNotFound
	}
	return MoneyPaidBack(c), nil
}

// MoneyPaidBack says that the money of a failed transfer is back.
type MoneyPaidBack struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer"`
}

// Type is "moneyPaidBack".
func (MoneyPaidBack) Type() string { return "moneyPaidBack" }

// AggregateID is the id of the account.
func (e MoneyPaidBack) AggregateID() string { return string(e.ID) }

// Apply adds the amount.
func (e MoneyPaidBack) Apply(a Account) Account {
	a.Balance += int64(e.Amount)
	return a
}
