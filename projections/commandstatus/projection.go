// Package commandstatus is the read model of how each command ended:
// GET /<plural>/{id}/commands/{command id}, for aggregates of every type.
package commandstatus

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/messaging"
	"github.com/millrace/millrace/projections"
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
var Projection = &projections.Projection{
	Name: "commands",
	Tables: []projections.Table{{
		Name: table,
		Columns: []projections.Column{
			{Name: "stream", Type: projections.Text, Key: true},
			{Name: "command_id", Type: projections.Text, Key: true},
			{Name: "status", Type: projections.Text},
			{Name: "version", Type: projections.Integer}, // the stream's, after it
			{Name: "position", Type: projections.Text},   // of the outcome, as clients see it
			{Name: "problem", Type: projections.Text},    // "" unless refused
			{Name: "detail", Type: projections.Text},
		},
	}},
	Apply: apply,
}

func apply(rows projections.Rows, e projections.Event) error {
	status, problem, detail := succeeded, "", ""
	switch e.Type {
	case messaging.TypeCommandRefused:
		var body struct{ Problem, Detail string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("decode %s: %w", e.Type, err)
		}
		status, problem, detail = refused, body.Problem, body.Detail
	case messaging.TypeCommandParked, messaging.TypeCommandQueued:
		status = parked
	}
	position := messaging.EncodePosition(messaging.Position{e.Partition: e.Offset + 1})
	rows.Put(table, projections.Row{e.Stream, e.CommandID, status, int64(e.Version), position, problem, detail})
	return nil
}
