// Package transferring is the reaction that moves the money of transfers: the
// package asks the accounts for what a transfer decided, and tells the transfer
// how the accounts answered.
//
//	when                                       then
//	transferRequested                          withdrawForTransfer; expireTransfer, later
//	moneyWithdrawn for a transfer              fundTransfer
//	transferReleased                           depositForTransfer; cancel expireTransfer
//	moneyDeposited for a transfer              finishTransfer
//	transferFailed                             payBack
//	moneyPaidBack                              finishTransfer
//	a withdrawal or deposit was refused        failTransfer
//	transferRefused                            cancel expireTransfer
package transferring

import (
	"time"

	"example.com/bank/handlers/accounts"
	"example.com/bank/handlers/transfers"
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/reaction"
)

// Reaction is the reaction "transferring", as a service lists a reaction. No
// transfer is older than the reaction, so the reaction begins at the beginning.
var Reaction = &reaction.Reaction{
	Name:          "transferring",
	Of:            []string{"account", "transfer"},
	FromBeginning: true,
	React:         react,
}

func react(r reaction.Record) ([]reaction.Command, error) {
	if r.Ended != nil {
		return afterRefusal(r.Ended), nil
	}
	switch e := r.Event.(type) {
	case *transfers.TransferRequested:
		return []reaction.Command{
			reaction.Send(accounts.WithdrawForTransfer{ID: e.From, Amount: e.Amount, Transfer: e.ID}),
			reaction.Later(transfers.ExpireTransfer{ID: e.ID}, r.Time.Add(time.Duration(e.WithinSeconds)*time.Second)),
		}, nil
	case *transfers.TransferReleased:
		return []reaction.Command{
			reaction.Send(accounts.DepositForTransfer{ID: e.To, Amount: e.Amount, Transfer: e.ID}),
			reaction.Cancel(transfers.ExpireTransfer{ID: e.ID}),
		}, nil
	case *transfers.TransferFailed:
		return send(accounts.PayBack{ID: e.From, Amount: e.Amount, Transfer: e.ID}), nil
	case *transfers.TransferRefused:
		return []reaction.Command{reaction.Cancel(transfers.ExpireTransfer{ID: e.ID})}, nil
	case *accounts.MoneyWithdrawn:
		return tell(e.Transfer, transfers.FundTransfer{ID: e.Transfer}), nil
	case *accounts.MoneyDeposited:
		return tell(e.Transfer, transfers.FinishTransfer{ID: e.Transfer}), nil
	case *accounts.MoneyPaidBack:
		return tell(e.Transfer, transfers.FinishTransfer{ID: e.Transfer}), nil
	default:
		return nil, nil
	}
}

// afterRefusal tells a transfer that an account said no, or that an operator
// dropped the command.
func afterRefusal(ended *reaction.Ended) []reaction.Command {
	switch c := ended.Command.(type) {
	case *accounts.WithdrawForTransfer:
		return send(transfers.FailTransfer{ID: c.Transfer, Reason: ended.Refusal})
	case *accounts.DepositForTransfer:
		return send(transfers.FailTransfer{ID: c.Transfer, Reason: ended.Refusal})
	default:
		return nil
	}
}

// tell sends a command to a transfer. Money that a customer moves belongs to none.
func tell(transfer values.ID, c aggregate.AnyCommand) []reaction.Command {
	if transfer == "" {
		return nil
	}
	return send(c)
}

// send is an answer of one command.
func send(c aggregate.AnyCommand) []reaction.Command { return []reaction.Command{reaction.Send(c)} }
