package transfers

import (
	"example.com/bank/values"
	"github.com/millrace/millrace/router/aggregate"
)

// defaultSeconds is how long a transfer may take.
const defaultSeconds = 60

// RequestTransfer asks to move money from one account to another. If the transfer
// needs acceptance, the money waits until somebody sends acceptTransfer. After
// WithinSeconds, 60 if there are none, the transfer is given up.
type RequestTransfer struct {
	ID              values.ID     `json:"id"`
	From            values.ID     `json:"from"`
	To              values.ID     `json:"to"`
	Amount          values.Amount `json:"amount"`
	NeedsAcceptance bool          `json:"needsAcceptance,omitempty"`
	WithinSeconds   uint16        `json:"withinSeconds,omitempty"`
}

// Type is "requestTransfer".
func (RequestTransfer) Type() string { return "requestTransfer" }

// AggregateID is the id of the transfer.
func (c RequestTransfer) AggregateID() string { return string(c.ID) }

// Decide begins a transfer, once. The accounts decide the rest.
func (c RequestTransfer) Decide(t Transfer) (aggregate.Event[Transfer], error) {
	switch {
	case t.Status != "":
		return nil, ErrExists
	case c.From == c.To:
		return nil, ErrOneAccount
	case c.WithinSeconds == 0:
		c.WithinSeconds = defaultSeconds
	}
	return TransferRequested(c), nil
}

// TransferRequested says that somebody asked for a transfer.
type TransferRequested struct {
	ID              values.ID     `json:"id"`
	From            values.ID     `json:"from"`
	To              values.ID     `json:"to"`
	Amount          values.Amount `json:"amount"`
	NeedsAcceptance bool          `json:"needsAcceptance,omitempty"`
	WithinSeconds   uint16        `json:"withinSeconds"`
}

// Type is "transferRequested".
func (TransferRequested) Type() string { return "transferRequested" }

// AggregateID is the id of the transfer.
func (e TransferRequested) AggregateID() string { return string(e.ID) }

// Apply begins the transfer.
func (e TransferRequested) Apply(Transfer) Transfer {
	return Transfer{Status: Requested, From: e.From, To: e.To, Amount: e.Amount, NeedsAcceptance: e.NeedsAcceptance}
}
