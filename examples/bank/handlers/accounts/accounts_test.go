package accounts_test

import (
	"testing"

	"example.com/bank/handlers/accounts"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/aggregate/aggregatetest"
)

var (
	opened = accounts.AccountOpened{ID: "alice", Number: "DE021203"}
	ten    = accounts.MoneyDeposited{ID: "alice", Amount: 1000}
	empty  = accounts.MoneyWithdrawn{ID: "alice", Amount: 1000, Transfer: "rent"}
	closed = accounts.AccountClosed{ID: "alice"}
)

// given is the account "alice" after these events.
func given(t *testing.T, events ...aggregate.AnyEvent) *aggregatetest.History {
	t.Helper()
	return aggregatetest.Given(t, accounts.Aggregate, events...)
}

func TestOpenAccount(t *testing.T) {
	open := accounts.OpenAccount{ID: "alice", Number: "DE021203"}
	given(t).When(open).Then(opened).ThenState(accounts.Account{Status: accounts.Open, Number: "DE021203"})
	given(t, opened).When(open).ThenRefused(accounts.ErrExists)
	given(t, opened, closed).When(open).ThenRefused(accounts.ErrExists)
}

// An open account holds its number; a closed account gives the number back.
func TestNumber(t *testing.T) {
	given(t).ThenClaims()
	given(t, opened).ThenClaims(aggregate.Claim{Name: "account-number", Value: "DE021203", Refusal: accounts.ErrNumberTaken})
	given(t, opened, closed).ThenClaims()
}

func TestDeposit(t *testing.T) {
	deposit := accounts.Deposit{ID: "alice", Amount: 1000}
	given(t, opened).When(deposit).Then(ten).When(deposit).Then(ten).
		ThenState(accounts.Account{Status: accounts.Open, Number: "DE021203", Balance: 2000})
	given(t, opened).When(accounts.DepositForTransfer{ID: "alice", Amount: 1000, Transfer: "rent"}).
		Then(accounts.MoneyDeposited{ID: "alice", Amount: 1000, Transfer: "rent"})
	given(t).When(deposit).ThenRefused(accounts.ErrNotFound)
	given(t, opened, closed).When(deposit).ThenRefused(accounts.ErrClosed)
}

func TestAccountIsFull(t *testing.T) {
	full := []aggregate.AnyEvent{opened}
	for range 1000 {
		full = append(full, accounts.MoneyDeposited{ID: "alice", Amount: 1_000_000_000_000})
	}
	given(t, full...).When(accounts.Deposit{ID: "alice", Amount: 1}).ThenRefused(accounts.ErrFull)
	given(t, full...).When(accounts.PayBack{ID: "alice", Amount: 1, Transfer: "rent"}).
		Then(accounts.MoneyPaidBack{ID: "alice", Amount: 1, Transfer: "rent"})
}

func TestWithdraw(t *testing.T) {
	withdraw := accounts.Withdraw{ID: "alice", Amount: 1000}
	given(t, opened, ten).When(withdraw).Then(accounts.MoneyWithdrawn{ID: "alice", Amount: 1000}).
		ThenState(accounts.Account{Status: accounts.Open, Number: "DE021203"}).
		When(withdraw).ThenRefused(accounts.ErrNoMoney)
	given(t, opened, ten).When(accounts.WithdrawForTransfer{ID: "alice", Amount: 1000, Transfer: "rent"}).Then(empty)
	given(t, opened, ten).When(accounts.Withdraw{ID: "alice", Amount: 1001}).ThenRefused(accounts.ErrNoMoney)
	given(t).When(withdraw).ThenRefused(accounts.ErrNotFound)
}

// Money that comes back after the account was closed isn't lost: the customer
// takes the money out.
func TestPayBack(t *testing.T) {
	payBack := accounts.PayBack{ID: "alice", Amount: 1000, Transfer: "rent"}
	back := accounts.MoneyPaidBack{ID: "alice", Amount: 1000, Transfer: "rent"}
	given(t, opened, ten, empty).When(payBack).Then(back)
	given(t, opened, ten, empty, closed).When(payBack).Then(back).
		ThenState(accounts.Account{Status: accounts.Closed, Balance: 1000}).
		When(accounts.Withdraw{ID: "alice", Amount: 1000}).Then(accounts.MoneyWithdrawn{ID: "alice", Amount: 1000})
	given(t).When(payBack).ThenRefused(accounts.ErrNotFound)
}

func TestCloseAccount(t *testing.T) {
	closeIt := accounts.CloseAccount{ID: "alice"}
	given(t, opened).When(closeIt).Then(closed).ThenState(accounts.Account{Status: accounts.Closed})
	given(t, opened, ten).When(closeIt).ThenRefused(accounts.ErrNotEmpty)
	given(t, opened, ten, empty).When(closeIt).Then(closed)
	given(t, opened, closed).When(closeIt).ThenRefused(accounts.ErrClosed)
	given(t).When(closeIt).ThenRefused(accounts.ErrNotFound)
}

// The log is kept for ever: a body that a release has written stays readable.
func TestEventBodies(t *testing.T) {
	aggregatetest.EventBodies(t, accounts.Aggregate, "testdata/events.golden")
}

// A command that clients of an earlier release send is taken as before.
func TestCommandBodies(t *testing.T) {
	aggregatetest.CommandBodies(t, accounts.Aggregate, "testdata/commands.golden")
}
