package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// ExpireTransfer says that the time of a transfer is over.
type ExpireTransfer struct {
	ID values.ID `json:"id"`
}

// Type is "expireTransfer".
func (ExpireTransfer) Type() string { return "expireTransfer" }

// AggregateID is the id of the transfer.
func (c ExpireTransfer) AggregateID() string { return string(c.ID) }

// Decide gives up a transfer whose money is not released. If the withdrawal is
// under way, its end decides whether there is money to pay back.
func (c ExpireTransfer) Decide(t Transfer) (aggregate.Event[Transfer], error) {
	switch t.Status {
	case "":
		return nil, ErrNotFound
	case Requested:
		return TransferExpired(c), nil
	case Offered:
		return TransferFailed{ID: c.ID, From: t.From, Amount: t.Amount, Reason: ReasonNotAccepted}, nil
	default:
		return nil, nil
	}
}

// TransferExpired says that the time was over before the withdrawal was known.
type TransferExpired struct {
	ID values.ID `json:"id"`
}

// Type is "transferExpired".
func (TransferExpired) Type() string { return "transferExpired" }

// AggregateID is the id of the transfer.
func (e TransferExpired) AggregateID() string { return string(e.ID) }

// Apply notes that the time is over.
func (TransferExpired) Apply(t Transfer) Transfer {
	t.Status = Expired
	return t
}
