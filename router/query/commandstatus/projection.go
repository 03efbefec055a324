// Package commandstatus is the read model of how each command ended:
// GET /<plural>/{id}/commands/{command id}, for aggregates of every type.
package commandstatus

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

const table = "commands"

// What a command's status can be. Accepted ones have no row: the log knows
// nothing of them yet.
const (
	accepted  = "accepted"
	succeeded = "succeeded"
	refused   = "refused"
	parked    = "parked"
)

// Projection keeps a row for each command that the log has an outcome of: the
// last one. A parked command gets another when it is requeued or dropped.
var Projection = &projection.Projection{
	Name: "commands",
	Tables: []projection.Table{{
		Name: table,
		Columns: []projection.Column{
			{Name: "stream", Type: projection.Text, Key: true},
			{Name: "command_id", Type: projection.Text, Key: true},
			{Name: "status", Type: projection.Text},
			{Name: "version", Type: projection.Integer}, // the stream's, after it
			{Name: "position", Type: projection.Text},   // of the outcome, as clients see it
			{Name: "problem", Type: projection.Text},    // "" unless refused
			{Name: "detail", Type: projection.Text},
		},
	}},
	Apply: apply,
}

func apply(rows projection.Rows, e projection.Event) error {
	status, problem, detail := succeeded, "", ""
	switch e.Type {
	case eventlog.TypeCommandRefused:
		var body struct{ Problem, Detail string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("decode %s: %w", e.Type, err)
		}
		status, problem, detail = refused, body.Problem, body.Detail
	case eventlog.TypeCommandParked, eventlog.TypeCommandQueued:
		status = parked
	}
	position := eventlog.EncodePosition(eventlog.Position{e.Partition: e.Offset + 1})
	rows.Put(table, projection.Row{e.Stream, e.CommandID, status, int64(e.Version), position, problem, detail})
	return nil
}
