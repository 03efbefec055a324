package decider

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// Tracer makes the spans of a command. The trace of the client's request goes
// on in the headers of the command and of the record.
type Tracer interface {
	// Sending begins the span of a send, in the context's trace, and sets the
	// command's Trace. The caller calls sent when the send has succeeded or
	// failed. sent is nil without a trace.
	Sending(ctx context.Context, envelope *eventlog.Envelope) (sent func(error))
	// Decided makes the span of a traced command's decision, and returns the
	// trace for the append.
	Decided(envelope *eventlog.Envelope, r *eventlog.Record, began time.Time) (trace string)
	// Appending begins the span of an append, in a trace, and sets the record's
	// Trace. The caller calls appended when the append has succeeded or failed.
	Appending(r *eventlog.Record, trace string) (appended func(error))
}
