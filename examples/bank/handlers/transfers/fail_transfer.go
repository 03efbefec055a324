package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// FailTransfer says that an account refused the withdrawal or the deposit.
type FailTransfer struct {
	ID     values.ID `json:"id"`
	Reason string    `json:"reason"`
}

// Type is "failTransfer".
func (FailTransfer) Type() string { return "failTransfer" }

// AggregateID is the id of the transfer.
func (c FailTransfer) AggregateID() string { return string(c.ID) }

// Decide ends a transfer whose money was not withdrawn, and sends back money that
// was not deposited.
func (c FailTransfer) Decide(t Transfer) (aggregate.Event[Transfer], error) {
	switch t.Status {
	case "":
		return nil, ErrNotFound
	case Requested:
		return TransferRefused(c), nil
	case Expired:
		return TransferRefused{ID: c.ID, Reason: ReasonExpired}, nil
	case Released:
		return TransferFailed{ID: c.ID, From: t.From, Amount: t.Amount, Reason: c.Reason}, nil
	default:
		return nil, nil
	}
}

// TransferRefused says that a transfer ended before money had moved.
type TransferRefused struct {
	ID     values.ID `json:"id"`
	Reason string    `json:"reason"`
}

// Type is "transferRefused".
func (TransferRefused) Type() string { return "transferRefused" }

// AggregateID is the id of the transfer.
func (e TransferRefused) AggregateID() string { return string(e.ID) }

// Apply ends the transfer.
func (e TransferRefused) Apply(t Transfer) Transfer {
	t.Status, t.Reason = Refused, e.Reason
	return t
}

// TransferFailed says that the money is to be paid back.
type TransferFailed struct {
	ID     values.ID     `json:"id"`
	From   values.ID     `json:"from"`
	Amount values.Amount `json:"amount"`
	Reason string        `json:"reason"`
}

// Type is "transferFailed".
func (TransferFailed) Type() string { return "transferFailed" }

// AggregateID is the id of the transfer.
func (e TransferFailed) AggregateID() string { return string(e.ID) }

// Apply keeps the reason for the end.
func (e TransferFailed) Apply(t Transfer) Transfer {
	t.Status, t.Reason = Failed, e.Reason
	return t
}
