package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// OpenAccount asks for a new account.
type OpenAccount struct {
	ID     values.ID     `json:"id"`
	Number values.Number `json:"number"`
}

// Type is "openAccount".
func (OpenAccount) Type() string { return "openAccount" }

// AggregateID is the id of the account.
func (c OpenAccount) AggregateID() string { return string(c.ID) }

// Decide opens the account, once.
func (c OpenAccount) Decide(a Account) (aggregate.Event[Account], error) {
	if a.Status != Absent {
		return nil, ErrExists
	}
	return AccountOpened(c), nil
}

// AccountOpened says that there is a new account.
type AccountOpened struct {
	ID     values.ID     `json:"id"`
	Number values.Number `json:"number"`
}

// Type is "accountOpened".
func (AccountOpened) Type() string { return "accountOpened" }

// AggregateID is the id of the account.
func (e AccountOpened) AggregateID() string { return string(e.ID) }

// Apply opens the account.
func (e AccountOpened) Apply(Account) Account { return Account{Status: Open, Number: e.Number} }
