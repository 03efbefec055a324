package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// CloseAccount asks to end an account. The number is free again.
type CloseAccount struct {
	ID values.ID `json:"id"`
}

// Type is "closeAccount".
func (CloseAccount) Type() string { return "closeAccount" }

// AggregateID is the id of the account.
func (c CloseAccount) AggregateID() string { return string(c.ID) }

// Decide closes an open account without money.
func (c CloseAccount) Decide(a Account) (aggregate.Event[Account], error) {
	switch {
	case a.Status == Absent:
		return nil, ErrNotFound
	case a.Status == Closed:
		return nil, ErrClosed
	case a.Balance > 0:
		return nil, ErrNotEmpty
	}
	return AccountClosed(c), nil
}

// AccountClosed says that an account has ended.
type AccountClosed struct {
	ID values.ID `json:"id"`
}

// Type is "accountClosed".
func (AccountClosed) Type() string { return "accountClosed" }

// AggregateID is the id of the account.
func (e AccountClosed) AggregateID() string { return string(e.ID) }

// Apply closes the account, and gives the number back.
func (AccountClosed) Apply(a Account) Account { return Account{Status: Closed, Balance: a.Balance} }
