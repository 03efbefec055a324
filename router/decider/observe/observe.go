// Package observe has the interfaces through which package decider and the
// gateway tell metrics and traces of commands.
package observe

import (
	"context"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// Meter counts commands and outcomes. The methods must not wait, and must cost
// next to nothing: Decided is called under a partition processor's lock.
type Meter interface {
	// Accepted counts a command of a client, once Kafka holds the command.
	Accepted(commandType string)
	// Decided counts the outcome of a command: an accepted record in a
	// partition that is assigned to this process. The type is "" if the command
	// has not come to this process.
	Decided(commandType string, outcome *eventlog.Record)
	// Appended counts an append that has succeeded or failed.
	Appended(took time.Duration, err error)
	// DeadLettered counts a message that went to the dead letters.
	DeadLettered()
}

// Unmetered is a [Meter] that counts nothing.
type Unmetered struct{}

// Accepted implements [Meter].
func (Unmetered) Accepted(string) {}

// Decided implements [Meter].
func (Unmetered) Decided(string, *eventlog.Record) {}

// Appended implements [Meter].
func (Unmetered) Appended(time.Duration, error) {}

// DeadLettered implements [Meter].
func (Unmetered) DeadLettered() {}

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
