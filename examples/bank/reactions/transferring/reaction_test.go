package transferring

import (
	"testing"
	"time"

	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/reaction"
	"github.com/millrace/millrace/router/reaction/reactiontest"
)

func TestReaction(t *testing.T) {
	of := reactiontest.Of(t, Reaction, accounts.Aggregate, transfers.Aggregate)
	expire := transfers.ExpireTransfer{ID: "rent"}
	withdraw := accounts.WithdrawForTransfer{ID: "alice", Amount: 500, Transfer: "rent"}
	deposit := accounts.DepositForTransfer{ID: "bob", Amount: 500, Transfer: "rent"}
	payBack := accounts.PayBack{ID: "alice", Amount: 500, Transfer: "rent"}
	finish := transfers.FinishTransfer{ID: "rent"}

	of.Given(transfers.TransferRequested{ID: "rent", From: "alice", To: "bob", Amount: 500, WithinSeconds: 60}).
		ThenCommands(reaction.Send(withdraw), reaction.Later(expire, reactiontest.Time.Add(time.Minute)))
	of.Given(accounts.MoneyWithdrawn{ID: "alice", Amount: 500, Transfer: "rent"}).Then(transfers.FundTransfer{ID: "rent"})
	of.Given(transfers.TransferReleased{ID: "rent", To: "bob", Amount: 500}).ThenCommands(reaction.Send(deposit), reaction.Cancel(expire))
	of.Given(accounts.MoneyDeposited{ID: "bob", Amount: 500, Transfer: "rent"}).Then(finish)

	of.GivenRefused(withdraw, accounts.ErrNoMoney).Then(transfers.FailTransfer{ID: "rent", Reason: "insufficient-funds"})
	of.GivenRefused(deposit, accounts.ErrClosed).Then(transfers.FailTransfer{ID: "rent", Reason: "account-closed"})
	of.GivenRefused(deposit, &aggregate.Refusal{Slug: reaction.Dropped}).Then(transfers.FailTransfer{ID: "rent", Reason: "command-dropped"})
	of.Given(transfers.TransferRefused{ID: "rent", Reason: "insufficient-funds"}).ThenCommands(reaction.Cancel(expire))
	of.Given(transfers.TransferFailed{ID: "rent", From: "alice", Amount: 500, Reason: "account-closed"}).Then(payBack)
	of.Given(accounts.MoneyPaidBack{ID: "alice", Amount: 500, Transfer: "rent"}).Then(finish)
}

// Other records cause nothing.
func TestNothing(t *testing.T) {
	of := reactiontest.Of(t, Reaction, accounts.Aggregate, transfers.Aggregate)
	for _, event := range []aggregate.AnyEvent{
		accounts.AccountOpened{ID: "alice", Number: "DE021203"}, accounts.AccountClosed{ID: "alice"},
		accounts.MoneyDeposited{ID: "alice", Amount: 1}, accounts.MoneyWithdrawn{ID: "alice", Amount: 1},
		transfers.TransferOffered{ID: "rent"}, transfers.TransferExpired{ID: "rent"}, transfers.TransferCompleted{ID: "rent"},
		transfers.TransferReturned{ID: "rent", Reason: "expired"},
	} {
		of.Given(event).ThenNothing()
	}
	for _, command := range []aggregate.AnyCommand{
		transfers.FundTransfer{ID: "rent"}, transfers.FinishTransfer{ID: "rent"}, transfers.ExpireTransfer{ID: "rent"},
		accounts.PayBack{ID: "alice", Amount: 1, Transfer: "rent"},
	} {
		of.GivenUnchanged(command).ThenNothing()
	}
}
