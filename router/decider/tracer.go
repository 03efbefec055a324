package decider

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// Tracer follows commands, from the trace of the request that brought them
// through their headers and those of their records.
type Tracer interface {
	// Sending begins to send a command in the context's trace, and sets the
	// command's Trace. It returns what is told how that went, nil for a command
	// that isn't traced.
	Sending(ctx context.Context, envelope *eventlog.Envelope) (sent func(error))
	// Decided tells of a traced command's decision, and returns where the
	// trace goes on.
	Decided(envelope *eventlog.Envelope, r *eventlog.Record, began time.Time) (trace string)
	// Appending begins to append a record in a trace, and sets the record's
	// Trace. It returns what is told how that went.
	Appending(r *eventlog.Record, trace string) (appended func(error))
}
