// Package history is the read model of what happened to each aggregate, of
// every type: GET /<plural>/{id}/history, and GET /changes.
package history

import (
	"strings"

	"github.com/millrace/millrace/router/projection"
)

const table = "events"

// Projection keeps a row for each event, in the form that the log has it in: an
// old event is upcast when it is read, so that another upcast makes no other
// rows. What was refused, or changed nothing, is no history. Events stay when
// their aggregate is deleted.
var Projection = &projection.Projection{
	Name: "history",
	Tables: []projection.Table{{
		Name: table,
		Columns: []projection.Column{
			{Name: "stream", Type: projection.Text, Key: true},
			{Name: "version", Type: projection.Integer, Key: true},
			{Name: "type", Type: projection.Text},
			{Name: "time", Type: projection.Text}, // see timeLayout
			{Name: "data", Type: projection.Text}, // JSON
			{Name: "command_id", Type: projection.Text},
			{Name: "log_partition", Type: projection.Integer},
			{Name: "log_offset", Type: projection.Integer},
		},
		// All events in the log's order, from any position on.
		Indexes: [][]string{{"log_partition", "log_offset"}},
	}},
	Apply: apply,
}

// timeLayout is RFC 3339 in UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

func apply(rows projection.Rows, e projection.Event) error {
	if e.Data == nil {
		return nil
	}
	// Those who decode JSON read what is not UTF-8 so.
	data := strings.ToValidUTF8(string(e.Body), "\uFFFD")
	rows.Put(table, projection.Row{
		e.Stream, int64(e.Version), e.Type, e.Time.UTC().Format(timeLayout), data, e.CommandID,
		int64(e.Partition), e.Offset,
	})
	return nil
}
