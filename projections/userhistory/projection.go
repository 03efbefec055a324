// Package userhistory is the read model of what happened to each aggregate, of
// every type: GET /<plural>/{id}/history, and GET /changes.
package userhistory

import (
	"strings"

	"github.com/millrace/millrace/projections"
)

const table = "events"

// Projection keeps a row for each event, in the form that the log has it in: an
// old event is upcast when it is read, so that another upcast makes no other
// rows. What was refused, or changed nothing, is no history. Events stay when
// their aggregate is deleted.
var Projection = &projections.Projection{
	Name: "history",
	Tables: []projections.Table{{
		Name: table,
		Columns: []projections.Column{
			{Name: "stream", Type: projections.Text, Key: true},
			{Name: "version", Type: projections.Integer, Key: true},
			{Name: "type", Type: projections.Text},
			{Name: "time", Type: projections.Text}, // see timeLayout
			{Name: "data", Type: projections.Text}, // JSON
			{Name: "command_id", Type: projections.Text},
			{Name: "log_partition", Type: projections.Integer},
			{Name: "log_offset", Type: projections.Integer},
		},
		// All events in the log's order, from any position on.
		Indexes: [][]string{{"log_partition", "log_offset"}},
	}},
	Apply: apply,
}

// timeLayout is RFC 3339 in UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

func apply(rows projections.Rows, e projections.Event) error {
	if e.Data == nil {
		return nil
	}
	// Those who decode JSON read what is not UTF-8 so.
	data := strings.ToValidUTF8(string(e.Body), "\uFFFD")
	rows.Put(table, projections.Row{
		e.Stream, int64(e.Version), e.Type, e.Time.UTC().Format(timeLayout), data, e.CommandID,
		int64(e.Partition), e.Offset,
	})
	return nil
}
