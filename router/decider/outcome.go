package decider

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// Kind says how a command ended.
type Kind uint8

// The kinds of outcomes.
const (
	Succeeded Kind = iota + 1 // an event, or nothing to change
	Refused                   // a rule says no
	Parked                    // it can't be decided; its stream waits
	Queued                    // it waits behind a parked command
)

// Outcome is how a command ended: an accepted record of the log, as the
// ledger remembers it.
type Outcome struct {
	CommandID string
	// CommandHash is of what the command said that had this outcome.
	CommandHash string
	Kind        Kind
	// Version is the stream's version after it.
	Version uint64
	// Partition and Offset are where in the log it stands.
	Partition int32
	Offset    int64
	// Refusal is the rule that said no, if one did.
	Refusal *aggregate.Refusal
}

// The bodies of records that are not events. Their members never change.
type (
	refusedBody struct {
		CommandType string `json:"commandType"`
		Problem     string `json:"problem"`
		Detail      string `json:"detail"`
	}
	unchangedBody struct {
		CommandType string `json:"commandType"`
	}
	// deferredBody is the command itself, for a later decision, and why it
	// waits.
	deferredBody struct {
		CommandType     string          `json:"commandType"`
		Payload         json.RawMessage `json:"payload"`
		ExpectedVersion *uint64         `json:"expectedVersion,omitempty"`
		Reason          string          `json:"reason"`
		Stack           string          `json:"stack,omitempty"`
	}
	// requeuedBody names the command that was parked.
	requeuedBody struct {
		CommandID string `json:"commandId"`
	}
)

// EncodeBody writes a payload or a record's body, in the one form that is stored
// and compared: texts stand as they are.
func EncodeBody(body any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(body); err != nil {
		panic(fmt.Sprintf("encode %T: %v", body, err)) // types of this program can be written
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// decode reads a body.
func decode[T any](r *eventlog.Record) (body T, err error) {
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return body, fmt.Errorf("decode %s: %w", r.Type, err)
	}
	return body, nil
}

// Position is the token of an outcome's place in the log.
func (o Outcome) Position() string {
	return eventlog.EncodePosition(eventlog.Position{o.Partition: o.Offset + 1})
}
