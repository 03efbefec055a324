package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// DepositForTransfer asks to put a transfer's money into an account.
type DepositForTransfer struct {
	ID       values.ID     `json:"id"`
	Amount   values.Amount `json:"amount"`
	Transfer values.ID     `json:"transfer"`
}

// Type is "depositForTransfer".
func (DepositForTransfer) Type() string { return "depositForTransfer" }

// AggregateID is the id of the account.
func (c DepositForTransfer) AggregateID() string { return string(c.ID) }

// Decide has the rules of a customer's deposit.
func (c DepositForTransfer) Decide(a Account) (aggregate.Event[Account], error) {
	if err := a.takes(c.Amount); err != nil {
		return nil, err
	}
	return MoneyDeposited(c), nil
}
