// Package transfers is the aggregate "transfer": an amount on the way from one
// account to another. A transfer decides what happens next; reaction
// transferring does it, and tells the transfer how it ended.
//
//	status     fundTransfer         acceptTransfer  expireTransfer  failTransfer  finishTransfer
//	requested  released or offered                  expired         refused
//	offered                         released        failed
//	released                                                        failed        completed
//	expired    failed                                               refused
//	failed                                                                        returned
//
// Clients send requestTransfer and acceptTransfer. The other commands are internal:
// the reaction alone sends these.
package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// Aggregate is the aggregate "transfer", as a service registers an aggregate.
var Aggregate = aggregate.Of(aggregate.Definition[Transfer]{
	Name:    "transfer",
	Plural:  "transfers",
	ParseID: values.ParseID,
	Commands: []func() aggregate.Command[Transfer]{
		func() aggregate.Command[Transfer] { return new(RequestTransfer) },
		func() aggregate.Command[Transfer] { return new(AcceptTransfer) },
	},
	Internal: []func() aggregate.Command[Transfer]{
		func() aggregate.Command[Transfer] { return new(FundTransfer) },
		func() aggregate.Command[Transfer] { return new(ExpireTransfer) },
		func() aggregate.Command[Transfer] { return new(FailTransfer) },
		func() aggregate.Command[Transfer] { return new(FinishTransfer) },
	},
	Events: []func() aggregate.Event[Transfer]{
		func() aggregate.Event[Transfer] { return new(TransferRequested) },
		func() aggregate.Event[Transfer] { return new(TransferOffered) },
		func() aggregate.Event[Transfer] { return new(TransferReleased) },
		func() aggregate.Event[Transfer] { return new(TransferCompleted) },
		func() aggregate.Event[Transfer] { return new(TransferExpired) },
		func() aggregate.Event[Transfer] { return new(TransferFailed) },
		func() aggregate.Event[Transfer] { return new(TransferReturned) },
		func() aggregate.Event[Transfer] { return new(TransferRefused) },
	},
	Refusals: []*aggregate.Refusal{ErrExists, ErrNotFound, ErrOneAccount, ErrNotOffered},
})

// Transfer is the state of a transfer.
type Transfer struct {
	Status          Status        `json:"status,omitempty"`
	From            values.ID     `json:"from,omitempty"`
	To              values.ID     `json:"to,omitempty"`
	Amount          values.Amount `json:"amount,omitempty"`
	NeedsAcceptance bool          `json:"needsAcceptance,omitempty"`
	Reason          string        `json:"reason,omitempty"` // why the money goes back
}

// Status says where a transfer is in life. The texts are those of the read API.
type Status string

// The statuses of a transfer. The zero value is a transfer that nobody asked for.
// The last three are ends.
const (
	Requested Status = "requested" // the money is to be withdrawn
	Offered   Status = "offered"   // the money is withdrawn, and the receiver is to accept
	Released  Status = "released"  // the money is to be deposited
	Expired   Status = "expired"   // the time was over before the withdrawal was known
	Failed    Status = "failed"    // the money is to be paid back
	Completed Status = "completed"
	Returned  Status = "returned"
	Refused   Status = "refused" // no money has moved
)

// The reasons of a transfer that isn't completed. The other reasons are slugs of
// an account's refusals.
const (
	ReasonExpired     = "expired"
	ReasonNotAccepted = "not-accepted"
)

// The refusals of transfers.
var (
	ErrExists     = &aggregate.Refusal{Slug: "transfer-exists", Detail: "the transfer exists already"}
	ErrNotFound   = &aggregate.Refusal{Slug: "transfer-not-found", Detail: "there is no such transfer", Kind: aggregate.NotFound}
	ErrOneAccount = &aggregate.Refusal{Slug: "same-account", Detail: "a transfer needs two accounts"}
	ErrNotOffered = &aggregate.Refusal{Slug: "transfer-not-offered", Detail: "the transfer doesn't wait for acceptance"}
)
