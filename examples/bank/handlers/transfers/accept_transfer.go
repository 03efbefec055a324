package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// AcceptTransfer asks to take the money of an offered transfer.
type AcceptTransfer struct {
	ID values.ID `json:"id"`
}

// Type is "acceptTransfer".
func (AcceptTransfer) Type() string { return "acceptTransfer" }

// AggregateID is the id of the transfer.
func (c AcceptTransfer) AggregateID() string { return string(c.ID) }

// Decide releases the money of an offered transfer.
func (c AcceptTransfer) Decide(t Transfer) (aggregate.Event[Transfer], error) {
	switch t.Status {
	case "":
		return nil, ErrNotFound
	case Offered:
		return TransferReleased{ID: c.ID, To: t.To, Amount: t.Amount}, nil
	default:
		return nil, ErrNotOffered
	}
}
