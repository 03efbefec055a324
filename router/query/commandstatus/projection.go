// Package commandstatus is the read model of how each command ended:
// GET /<plural>/{id}/commands/{command id}, for aggregates of every type.
package commandstatus

import (
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
)

const table = "commands"

// The statuses of a command. An accepted command has no row, because the log has
// no outcome yet, or waits for a claim, or for a binary that can decide the
// command.
const (
	accepted  = "accepted"
	succeeded = "succeeded"
	refused   = "refused"
	parked    = "parked"
	scheduled = "scheduled"
)

// Projection keeps a row for each command with an outcome in the log, with the
// last outcome. A parked command gets another outcome when an operator requeues
// or drops the command.
var Projection = &projection.Projection{
	Name: "commands",
	Tables: []projection.Table{{
		Name: table,
		Columns: []projection.Column{
			{Name: "stream", Type: projection.Text, Key: true},
			{Name: "command_id", Type: projection.Text, Key: true},
			{Name: "status", Type: projection.Text},
			{Name: "version", Type: projection.Integer}, // of the stream, after the command
			{Name: "position", Type: projection.Text},   // of the outcome, as a token for clients
			{Name: "problem", Type: projection.Text},    // "" unless refused
			// of the problem, why the command waits for a claim, or of a scheduled command the time
			{Name: "detail", Type: projection.Text},
		},
	}},
	Apply: apply,
}

func apply(rows projection.Rows, e projection.Event) error {
	if e.Type == eventlog.TypeClaimAnswered || aggregate.IsRouters(e.Stream) {
		return nil // no client has sent the command
	}
	status, problem, detail := succeeded, "", ""
	switch e.Type {
	case eventlog.TypeCommandRefused:
		var body struct{ Problem, Detail string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("decode %s: %w", e.Type, err)
		}
		status, problem, detail = refused, body.Problem, body.Detail
	case eventlog.TypeCommandParked:
		status = parked
	case eventlog.TypeCommandClaiming:
		status, detail = accepted, eventlog.ReasonClaim
	case eventlog.TypeCommandScheduled:
		var body struct{ NotBefore string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("decode %s: %w", e.Type, err)
		}
		status, detail = scheduled, body.NotBefore
	case eventlog.TypeCommandQueued:
		var body struct{ Reason string }
		if err := json.Unmarshal(e.Body, &body); err != nil {
			return fmt.Errorf("decode %s: %w", e.Type, err)
		}
		switch {
		case eventlog.AwaitsBinary(body.Reason):
			status = accepted
		case eventlog.AwaitsClaim(body.Reason):
			status, detail = accepted, body.Reason
		default:
			status = parked
		}
	}
	position := eventlog.EncodePosition(eventlog.Position{e.Partition: e.Offset + 1})
	rows.Put(table, projection.Row{e.Stream, e.CommandID, status, int64(e.Version), position, problem, detail})
	return nil
}
