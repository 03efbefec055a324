package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// FundTransfer says that the money is withdrawn.
type FundTransfer struct {
	ID values.ID `json:"id"`
}

// Type is "fundTransfer".
func (FundTransfer) Type() string { return "fundTransfer" }

// AggregateID is the id of the transfer.
func (c FundTransfer) AggregateID() string { return string(c.ID) }

// Decide offers or releases the money. If the time is over, the money goes back.
func (c FundTransfer) Decide(t Transfer) (aggregate.Event[Transfer], error) {
	switch {
	case t.Status == "":
		return nil, ErrNotFound
	case t.Status == Expired:
		return TransferFailed{ID: c.ID, From: t.From, Amount: t.Amount, Reason: ReasonExpired}, nil
	case t.Status != Requested:
		return nil, nil
	case t.NeedsAcceptance:
		return TransferOffered(c), nil
	default:
		return TransferReleased{ID: c.ID, To: t.To, Amount: t.Amount}, nil
	}
}

// TransferOffered says that the money waits for acceptance.
type TransferOffered struct {
	ID values.ID `json:"id"`
}

// Type is "transferOffered".
func (TransferOffered) Type() string { return "transferOffered" }

// AggregateID is the id of the transfer.
func (e TransferOffered) AggregateID() string { return string(e.ID) }

// Apply offers the money.
func (TransferOffered) Apply(t Transfer) Transfer {
	t.Status = Offered
	return t
}

// TransferReleased says that the money is to be deposited.
type TransferReleased struct {
	ID     values.ID     `json:"id"`
	To     values.ID     `json:"to"`
	Amount values.Amount `json:"amount"`
}

// Type is "transferReleased".
func (TransferReleased) Type() string { return "transferReleased" }

// AggregateID is the id of the transfer.
func (e TransferReleased) AggregateID() string { return string(e.ID) }

// Apply releases the money.
func (TransferReleased) Apply(t Transfer) Transfer {
	t.Status = Released
	return t
}
