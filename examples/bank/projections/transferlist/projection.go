// Package transferlist is the read model of the transfers: GET /transfers/{id}.
package transferlist

import (
	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/projection"
)

const tableTransfers = "transfers"

// Projection keeps a row for each transfer.
var Projection = &projection.Projection{
	Name: "transfers",
	Of:   []string{"transfer"},
	Tables: []projection.Table{{Name: tableTransfers, Columns: []projection.Column{
		{Name: "id", Type: projection.Text, Key: true},
		{Name: "sender", Type: projection.Text},
		{Name: "receiver", Type: projection.Text},
		{Name: "amount", Type: projection.Integer},
		{Name: "status", Type: projection.Text},
		{Name: "reason", Type: projection.Text},
		{Name: "requested_at", Type: projection.Text},
		{Name: "updated_at", Type: projection.Text},
		{Name: "version", Type: projection.Integer},
	}}},
	Keys:  keys,
	Apply: apply,
}

// The places of some columns in a row.
const (
	columnStatus    = 4
	columnReason    = 5
	columnUpdatedAt = 7
	columnVersion   = 8
)

// keys names the row that apply asks for.
func keys(e projection.Event) []projection.RowKey {
	return []projection.RowKey{{Table: tableTransfers, Key: projection.Row{e.AggregateID}}}
}

// apply notes where a transfer is.
func apply(rows projection.Rows, e projection.Event) error {
	if e.Data == nil { // a command that was refused, or changed nothing
		return nil
	}
	row := rows.Get(tableTransfers, e.AggregateID)
	if data, ok := e.Data.(*transfers.TransferRequested); ok {
		row = projection.Row{
			e.AggregateID, string(data.From), string(data.To), int64(data.Amount), "", "", e.TimeText(), "", int64(0),
		}
	}
	status, reason := after(e)
	row[columnStatus], row[columnReason] = string(status), reason
	row[columnUpdatedAt], row[columnVersion] = e.TimeText(), int64(e.Version)
	rows.Put(tableTransfers, row)
	return nil
}

// after is the status of a transfer after an event, and why the transfer is not
// completed.
func after(e projection.Event) (status transfers.Status, reason string) {
	switch data := e.Data.(type) {
	case *transfers.TransferRequested:
		return transfers.Requested, ""
	case *transfers.TransferOffered:
		return transfers.Offered, ""
	case *transfers.TransferReleased:
		return transfers.Released, ""
	case *transfers.TransferExpired:
		return transfers.Expired, transfers.ReasonExpired
	case *transfers.TransferFailed:
		return transfers.Failed, data.Reason
	case *transfers.TransferCompleted:
		return transfers.Completed, ""
	case *transfers.TransferReturned:
		return transfers.Returned, data.Reason
	case *transfers.TransferRefused:
		return transfers.Refused, data.Reason
	default:
		return "", ""
	}
}
