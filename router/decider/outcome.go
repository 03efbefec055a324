package decider

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Kind is a kind of outcome.
type Kind uint8

// The kinds of outcomes.
const (
	Succeeded Kind = iota + 1 // an event, or nothing to change
	Refused                   // a rule refused the command
	Parked                    // the decision failed; the stream waits for an operator
	Queued                    // the command waits behind a parked command
)

// Outcome is the end of a command, or the reason why the command waits: an
// accepted record of the log, as the state store remembers the record.
type Outcome struct {
	CommandID string
	// CommandHash is the hash of the command's type, payload and expected
	// version. Another command with the same id has another hash.
	CommandHash string
	Kind        Kind
	// Version is the stream's version after the record.
	Version uint64
	// Partition and Offset are the record's place in the log.
	Partition int32
	Offset    int64
	// Refusal is the rule that refused the command, nil for other kinds.
	Refusal *aggregate.Refusal
}

// The bodies of records that are not events. The members of a body never
// change.
type (
	refusedBody struct {
		CommandType string `json:"commandType"`
		Problem     string `json:"problem"`
		Detail      string `json:"detail"`
	}
	unchangedBody struct {
		CommandType string `json:"commandType"`
	}
	// deferredBody is the body of commandParked and commandQueued: the whole
	// command, for a later decision, and the reason why the command waits.
	deferredBody struct {
		CommandType     string          `json:"commandType"`
		Payload         json.RawMessage `json:"payload"`
		ExpectedVersion *uint64         `json:"expectedVersion,omitempty"`
		Reason          string          `json:"reason"`
		Stack           string          `json:"stack,omitempty"`
	}
	// requeuedBody is the body of parkedRequeued and parkedDropped.
	requeuedBody struct {
		CommandID string `json:"commandId"` // of the parked command
	}
)

// EncodeBody writes a payload or a record's body as JSON. The form is stored
// and hashed, so the form never changes: encoding/json without escaped HTML.
func EncodeBody(body any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		panic(fmt.Sprintf("encode %T: %v", body, err)) // types of this program can be written
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// decode reads a record's body.
func decode[T any](r *eventlog.Record) (body T, err error) {
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return body, fmt.Errorf("decode %s: %w", r.Type, err)
	}
	return body, nil
}

// Position is the token of the position behind the outcome in the log.
func (o Outcome) Position() string {
	return eventlog.EncodePosition(eventlog.Position{o.Partition: o.Offset + 1})
}
