// Package history is the read model of the events of every aggregate: GET
// /<plural>/{id}/history, and GET /changes.
package history

import (
	"strings"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/projection"
)

const table = "events"

// Projection keeps a row for each event, in the form of the log: old events are
// upcast when they are read, so a new upcast makes no other rows. Refused
// commands, and commands without an effect, have no row, and neither have events
// of the router's own streams. Events stay when the aggregate is deleted.
var Projection = &projection.Projection{
	Name: "history",
	Tables: []projection.Table{{
		Name: table,
		Columns: []projection.Column{
			{Name: "stream", Type: projection.Text, Key: true},
			{Name: "version", Type: projection.Integer, Key: true},
			{Name: "type", Type: projection.Text},
			{Name: "time", Type: projection.Text}, // RFC 3339
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

func apply(rows projection.Rows, e projection.Event) error {
	if e.Data == nil || aggregate.IsRouters(e.Stream) {
		return nil
	}
	// JSON decoders replace invalid UTF-8 in the same way.
	data := strings.ToValidUTF8(string(e.Body), "\uFFFD")
	rows.Put(table, projection.Row{
		e.Stream, int64(e.Version), e.Type, e.TimeText(), data, e.CommandID,
		int64(e.Partition), e.Offset,
	})
	return nil
}
