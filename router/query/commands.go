package query

import (
	"context"

	"github.com/millrace/millrace/router/eventlog"
)

// Commands knows the commands in Kafka. The read API asks about commands without
// an outcome in the rows.
type Commands interface {
	// Undecided says whether a command is in topic commands, and has perhaps no
	// outcome yet. The outcomes of all other commands were in the log before the
	// call.
	Undecided(ctx context.Context, stream, commandID string) (bool, error)
	// LogEnd is the end of the log in a stream's partition.
	LogEnd(ctx context.Context, stream string) (eventlog.Position, error)
}
