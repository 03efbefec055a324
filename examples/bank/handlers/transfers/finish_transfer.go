package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// FinishTransfer says that the money is deposited or paid back.
type FinishTransfer struct {
	ID values.ID `json:"id"`
}

// Type is "finishTransfer".
func (FinishTransfer) Type() string { return "finishTransfer" }

// AggregateID is the id of the transfer.
func (c FinishTransfer) AggregateID() string { return string(c.ID) }

// Decide ends the transfer.
func (c FinishTransfer) Decide(t Transfer) (aggregate.Event[Transfer], error) {
	switch t.Status {
	case "":
		return nil, ErrNotFound
	case Released:
		return TransferCompleted(c), nil
	case Failed:
		return TransferReturned{ID: c.ID, Reason: t.Reason}, nil
	default:
		return nil, nil
	}
}

// TransferCompleted says that the receiver has the money.
type TransferCompleted struct {
	ID values.ID `json:"id"`
}

// Type is "transferCompleted".
func (TransferCompleted) Type() string { return "transferCompleted" }

// AggregateID is the id of the transfer.
func (e TransferCompleted) AggregateID() string { return string(e.ID) }

// Apply ends the transfer.
func (TransferCompleted) Apply(t Transfer) Transfer {
	t.Status = Completed
	return t
}

// TransferReturned says that the sender has the money again.
type TransferReturned struct {
	ID     values.ID `json:"id"`
	Reason string    `json:"reason"`
}

// Type is "transferReturned".
func (TransferReturned) Type() string { return "transferReturned" }

// AggregateID is the id of the transfer.
func (e TransferReturned) AggregateID() string { return string(e.ID) }

// Apply ends the transfer.
func (TransferReturned) Apply(t Transfer) Transfer {
	t.Status = Returned
	return t
}
