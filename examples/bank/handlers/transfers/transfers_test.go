package transfers_test

import (
	"testing"

	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/aggregate/aggregatetest"
)

var (
	requested = transfers.TransferRequested{ID: "rent", From: "alice", To: "bob", Amount: 500, WithinSeconds: 60}
	wanted    = transfers.TransferRequested{ID: "rent", From: "alice", To: "bob", Amount: 500, NeedsAcceptance: true, WithinSeconds: 60}
	offered   = transfers.TransferOffered{ID: "rent"}
	released  = transfers.TransferReleased{ID: "rent", To: "bob", Amount: 500}
	expired   = transfers.TransferExpired{ID: "rent"}
	completed = transfers.TransferCompleted{ID: "rent"}
	returned  = transfers.TransferReturned{ID: "rent", Reason: "account-closed"}
	refused   = transfers.TransferRefused{ID: "rent", Reason: "insufficient-funds"}

	fund   = transfers.FundTransfer{ID: "rent"}
	accept = transfers.AcceptTransfer{ID: "rent"}
	expire = transfers.ExpireTransfer{ID: "rent"}
	finish = transfers.FinishTransfer{ID: "rent"}
)

// given is the transfer "rent" after these events.
func given(t *testing.T, events ...aggregate.AnyEvent) *aggregatetest.History {
	t.Helper()
	return aggregatetest.Given(t, transfers.Aggregate, events...)
}

// failed is the event that sends the money back.
func failed(reason string) transfers.TransferFailed {
	return transfers.TransferFailed{ID: "rent", From: "alice", Amount: 500, Reason: reason}
}

// fail is the command after an account's refusal.
func fail(slug string) transfers.FailTransfer {
	return transfers.FailTransfer{ID: "rent", Reason: slug}
}

func TestRequestTransfer(t *testing.T) {
	request := transfers.RequestTransfer{ID: "rent", From: "alice", To: "bob", Amount: 500}
	given(t).When(request).Then(requested).
		ThenState(transfers.Transfer{Status: transfers.Requested, From: "alice", To: "bob", Amount: 500})
	given(t).When(transfers.RequestTransfer{ID: "rent", From: "alice", To: "bob", Amount: 500, NeedsAcceptance: true, WithinSeconds: 60}).Then(wanted)
	given(t).When(transfers.RequestTransfer{ID: "rent", From: "alice", To: "alice", Amount: 500}).ThenRefused(transfers.ErrOneAccount)
	given(t, requested).When(request).ThenRefused(transfers.ErrExists)
	given(t, requested, refused).When(request).ThenRefused(transfers.ErrExists)
}

func TestTransferSucceeds(t *testing.T) {
	given(t, requested).When(fund).Then(released).When(finish).Then(completed)
	given(t, wanted).When(fund).Then(offered).When(accept).Then(released).When(finish).Then(completed)
}

func TestTransferIsGivenUp(t *testing.T) {
	given(t, wanted, offered).When(expire).Then(failed("not-accepted")).When(finish).Then(transfers.TransferReturned{ID: "rent", Reason: "not-accepted"})
	given(t, requested).When(expire).Then(expired).When(fund).Then(failed("expired"))
	given(t, requested, expired).When(fail("insufficient-funds")).Then(transfers.TransferRefused{ID: "rent", Reason: "expired"})
}

// Once the money is released, the receiver's account decides, however late.
func TestReleasedMoneyIsNotGivenUp(t *testing.T) {
	given(t, requested, released).When(expire).ThenUnchanged()
	given(t, wanted, offered, released).When(expire).ThenUnchanged()
}

func TestTransferFails(t *testing.T) {
	given(t, requested).When(fail("insufficient-funds")).Then(refused)
	given(t, requested, released).When(fail("account-closed")).Then(failed("account-closed")).When(finish).Then(returned)
}

func TestAcceptTransfer(t *testing.T) {
	given(t).When(accept).ThenRefused(transfers.ErrNotFound)
	for _, events := range [][]aggregate.AnyEvent{
		{requested}, {wanted}, {wanted, offered, released}, {wanted, offered, failed("not-accepted")}, {requested, released, completed},
	} {
		given(t, events...).When(accept).ThenRefused(transfers.ErrNotOffered)
	}
}

// No command of the reaction changes a transfer at an end, and none begins one.
func TestEndsAreEnds(t *testing.T) {
	for _, command := range []aggregate.AnyCommand{fund, expire, fail("account-closed"), finish} {
		given(t).When(command).ThenRefused(transfers.ErrNotFound)
		for _, events := range [][]aggregate.AnyEvent{
			{requested, refused}, {requested, released, completed}, {requested, released, failed("account-closed"), returned},
		} {
			given(t, events...).When(command).ThenUnchanged()
		}
	}
	given(t, requested).When(finish).ThenUnchanged()
	given(t, wanted, offered).When(fail("account-closed")).ThenUnchanged()
	given(t, requested, released).When(fund).ThenUnchanged()
}

// The log is kept for ever: a body that a release has written stays readable.
func TestEventBodies(t *testing.T) {
	aggregatetest.EventBodies(t, transfers.Aggregate, "testdata/events.golden")
}

// A command that clients of an earlier release send is taken as before.
func TestCommandBodies(t *testing.T) {
	aggregatetest.CommandBodies(t, transfers.Aggregate, "testdata/commands.golden")
}
