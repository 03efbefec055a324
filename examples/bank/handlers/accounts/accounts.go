// Package accounts is the aggregate "account": a bank account with a unique
// number and a balance, and the rules of the commands about an account.
//
// The internal commands are steps of a transfer: reaction transferring sends
// these, and a client can't. An account doesn't remember transfers, because each
// step takes effect once.
package accounts

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// Aggregate is the aggregate "account", as a service registers an aggregate.
var Aggregate = aggregate.Of(aggregate.Definition[Account]{
	Name:    "account",
	Plural:  "accounts",
	ParseID: values.ParseID,
	Commands: []func() aggregate.Command[Account]{
		func() aggregate.Command[Account] { return new(OpenAccount) },
		func() aggregate.Command[Account] { return new(Deposit) },
		func() aggregate.Command[Account] { return new(Withdraw) },
		func() aggregate.Command[Account] { return new(CloseAccount) },
	},
	Internal: []func() aggregate.Command[Account]{
		func() aggregate.Command[Account] { return new(WithdrawForTransfer) },
		func() aggregate.Command[Account] { return new(DepositForTransfer) },
		func() aggregate.Command[Account] { return new(PayBack) },
	},
	Events: []func() aggregate.Event[Account]{
		func() aggregate.Event[Account] { return new(AccountOpened) },
		func() aggregate.Event[Account] { return new(MoneyDeposited) },
		func() aggregate.Event[Account] { return new(MoneyWithdrawn) },
		func() aggregate.Event[Account] { return new(MoneyPaidBack) },
		func() aggregate.Event[Account] { return new(AccountClosed) },
	},
	Claims:   claims,
	Refusals: []*aggregate.Refusal{ErrExists, ErrNumberTaken, ErrNotFound, ErrClosed, ErrFull, ErrNoMoney, ErrNotEmpty},
})

// Account is the state of an account: everything that the next decision depends
// on.
type Account struct {
	Status  Status        `json:"status"`
	Number  values.Number `json:"number,omitempty"`
	Balance int64         `json:"balance"` // in cents, never negative
}

// Status says where an account is in life.
type Status uint8

// The statuses of an account. The zero value is an account that nobody opened.
const (
	Absent Status = iota
	Open
	Closed
)

// claims says that an open account holds its number, and no other account does.
func claims(a Account) []aggregate.Claim {
	if a.Status != Open {
		return nil
	}
	return []aggregate.Claim{{Name: "account-number", Value: string(a.Number), Refusal: ErrNumberTaken}}
}

// The refusals of accounts.
var (
	ErrNumberTaken = &aggregate.Refusal{Slug: "number-taken", Detail: "another account has the number"}
	ErrExists      = &aggregate.Refusal{Slug: "account-exists", Detail: "the account exists already"}
	ErrNotFound    = &aggregate.Refusal{Slug: "account-not-found", Detail: "there is no such account", Kind: aggregate.NotFound}
	ErrClosed      = &aggregate.Refusal{Slug: "account-closed", Detail: "the account is closed"}
	ErrFull        = &aggregate.Refusal{Slug: "account-full", Detail: "a deposit must not raise the balance above 1000000000000000 cents"}
	ErrNoMoney     = &aggregate.Refusal{Slug: "insufficient-funds", Detail: "the balance is below the amount"}
	ErrNotEmpty    = &aggregate.Refusal{Slug: "account-not-empty", Detail: "an account is closed when its balance is zero"}
)
