package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// WithdrawForTransfer asks to take a transfer's money out of an account.
type WithdrawForTransfer struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer"`
}

// Type is "withdrawForTransfer".
func (WithdrawForTransfer) Type() string { return "withdrawForTransfer" }

// AggregateID is the id of the account.
func (c WithdrawForTransfer) AggregateID() string { return string(c.ID) }

// Decide has the rules of a customer's withdrawal.
func (c WithdrawForTransfer) Decide(a Account) (aggregate.Event[Account], error) {
	if err := a.gives(c.Amount); err != nil {
		return nil, err
	}
	return MoneyWithdrawn(c), nil
}
