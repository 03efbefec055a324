package query

import (
	"context"

	"github.com/millrace/millrace/router/eventlog"
)

// Commands is what Kafka knows of commands that have no outcome in the rows.
type Commands interface {
	// Undecided says whether a command is among those that may have no
	// outcome yet. All others were in the log before it was asked.
	Undecided(ctx context.Context, stream, commandID string) (bool, error)
	// LogEnd is where the log of a stream's partition ends.
	LogEnd(ctx context.Context, stream string) (eventlog.Position, error)
}
