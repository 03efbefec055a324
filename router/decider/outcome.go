package decider

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider/varint"
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
	Scheduled                 // the command waits for its time
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
	// NotBefore is the time that a scheduled command waits for.
	NotBefore time.Time
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
		// Payload is there if a reaction has sent the command: a reaction has no
		// memory of its own.
		Payload json.RawMessage `json:"payload,omitempty"`
	}
	unchangedBody struct {
		CommandType string          `json:"commandType"`
		Payload     json.RawMessage `json:"payload,omitempty"` // as in refusedBody
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

// The bits of the first byte of an outcome on disk.
const (
	outcomeKind    = 7 // the bits of the kind
	outcomeUUID    = 8
	outcomeHash    = 16
	outcomeRefused = 32
)

// appendOutcome writes an outcome. The partition follows from the key.
func appendOutcome(out []byte, o *Outcome) []byte {
	flags := byte(o.Kind)
	id, isUUID := uuidOf(o.CommandID)
	hash, isHash := hashOf(o.CommandHash)
	if isUUID {
		flags |= outcomeUUID
	}
	if isHash {
		flags |= outcomeHash
	}
	if o.Refusal != nil {
		flags |= outcomeRefused
	}
	out = append(out, flags)
	if isUUID {
		out = append(out, id[:]...)
	} else {
		out = varint.AppendText(out, o.CommandID)
	}
	if isHash {
		out = append(out, hash[:]...)
	} else {
		out = varint.AppendText(out, o.CommandHash)
	}
	out = binary.AppendUvarint(out, o.Version)
	out = binary.AppendUvarint(out, uint64(o.Offset))
	if o.Refusal != nil {
		out = varint.AppendText(varint.AppendText(out, o.Refusal.Slug), o.Refusal.Detail)
	}
	return out
}

// uuidOf reads a UUID in its usual form: lower case, with dashes.
func uuidOf(text string) (id uuid.UUID, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, false
	}
	return id, unhex(id[:4], text[:8]) && unhex(id[4:6], text[9:13]) && unhex(id[6:8], text[14:18]) &&
		unhex(id[8:10], text[19:23]) && unhex(id[10:], text[24:])
}

func hashOf(text string) (hash eventlog.Digest, ok bool) {
	return hash, len(text) == 2*len(hash) && unhex(hash[:], text)
}

// unhex reads hexadecimal digits in lower case, so the bytes make the same text
// again. The text has two digits for each byte of out.
func unhex(out []byte, text string) bool {
	for i := range out {
		high, low := digits[text[2*i]], digits[text[2*i+1]]
		if high|low > 15 {
			return false
		}
		out[i] = high<<4 | low
	}
	return true
}

// digits has the value of each digit, and 255 for other characters.
var digits = func() (values [256]byte) {
	for c := range values {
		values[c] = 255
	}
	for i, c := range "0123456789abcdef" {
		values[c] = byte(i)
	}
	return values
}()
