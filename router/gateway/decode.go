package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/strict"
	"github.com/millrace/millrace/router/web"
)

// request is the body of POST /commands. Members without a pointer are
// required.
type request struct {
	Type            requestType     `json:"type"`
	Payload         strict.Object   `json:"payload"`
	ID              *requestID      `json:"id"`
	ExpectedVersion *requestVersion `json:"expectedVersion"`
	NotBefore       *requestTime    `json:"notBefore"`
}

// decodeRequest reads a command strictly, and refuses every body with two
// readings (RFC 8259 allows duplicate members, RFC 7493 doesn't). The result is
// a command that is accepted now, and without an id unless the body has one; or
// the errors of the body.
func decodeRequest(registry *aggregate.Registry, body []byte, now time.Time) (*eventlog.Envelope, []web.FieldError) {
	object, wrong := strict.ReadObject(body)
	if wrong != nil {
		return nil, fieldErrors(wrong...)
	}
	req := request{Type: requestType{registry: registry}}
	wrong = object.Into("", &req)
	envelope := &eventlog.Envelope{
		Time: now.UTC().Truncate(time.Millisecond), ExpectedVersion: (*uint64)(req.ExpectedVersion),
	}
	if req.ID != nil {
		envelope.ID = string(*req.ID)
	}
	if req.NotBefore != nil && req.NotBefore.read {
		envelope.NotBefore = req.NotBefore.Time
		if err := strict.CheckNotBefore(envelope.NotBefore, envelope.Time); err != nil {
			wrong = append(wrong, strict.FieldError{Pointer: atNotBefore, Detail: err.Error()})
		}
	}
	command := req.Type.command
	if command != nil && req.Payload != nil {
		wrong = append(wrong, req.Payload.Into(atPayload, command)...)
	}
	if req.Type.of == nil && req.NotBefore != nil {
		wrong = append(wrong, strict.FieldError{Pointer: atNotBefore, Detail: "must not be given: a cancelScheduled takes effect at once"})
	}
	if len(wrong) > 0 {
		return nil, fieldErrors(wrong...)
	}
	stream, wrongID := streamOf(registry, req.Type.of, command)
	if wrongID != nil {
		return nil, fieldErrors(*wrongID)
	}
	envelope.Type, envelope.Stream, envelope.Body = command.Type(), stream, decider.EncodeBody(command)
	envelope.Hash = hashOf(envelope)
	return envelope, nil
}

// streamOf is the stream of a command. t is nil for a cancelScheduled.
func streamOf(registry *aggregate.Registry, t *aggregate.Type, command aggregate.AnyCommand) (string, *strict.FieldError) {
	if c, ok := command.(*cancelRequest); ok {
		return c.stream(registry)
	}
	id, wrong := strict.CheckID(atPayload, t, command)
	if wrong != nil {
		return "", wrong
	}
	return t.Stream(id), nil
}

// The places in a request.
const (
	atPayload   = "/payload"
	atNotBefore = "/notBefore"
)

func fieldErrors(wrong ...strict.FieldError) []web.FieldError {
	out := make([]web.FieldError, len(wrong))
	for i, w := range wrong {
		out[i] = web.FieldError{Pointer: w.Pointer, Detail: w.Detail}
	}
	return out
}

// requestType is an empty command of the requested type.
type requestType struct {
	registry *aggregate.Registry
	of       *aggregate.Type // nil for a cancelScheduled
	command  aggregate.AnyCommand
}

func (t *requestType) UnmarshalJSON(data []byte) error {
	text, err := jsontext.AppendUnquote(nil, data)
	if err == nil && !t.registry.IsInternal(string(text)) {
		t.command, t.of = t.registry.NewCommand(string(text))
	}
	if string(text) == decider.TypeCancelScheduled {
		t.command = new(cancelRequest)
	}
	if t.command == nil {
		ofClients := slices.DeleteFunc(t.registry.CommandTypes(), t.registry.IsInternal)
		return fmt.Errorf("must be one of %s", strings.Join(append(ofClients, decider.TypeCancelScheduled), ", "))
	}
	return nil
}

// requestID is a command id.
type requestID string

func (id *requestID) UnmarshalJSON(data []byte) error {
	text, err := jsontext.AppendUnquote(nil, data)
	if err != nil || !strict.IsCommandID(string(text)) {
		return errors.New(strict.CommandIDDetail)
	}
	*id = requestID(text)
	return nil
}

// requestVersion is an integer that every JSON reader holds exactly (RFC 8259,
// section 6), without fraction and exponent.
type requestVersion uint64

func (v *requestVersion) UnmarshalJSON(data []byte) error {
	n, err := strict.Version(string(data))
	*v = requestVersion(n)
	return err
}

// requestTime is a time as in RFC 3339.
type requestTime struct {
	time.Time
	read bool
}

func (t *requestTime) UnmarshalJSON(data []byte) error {
	text, err := jsontext.AppendUnquote(nil, data)
	if err != nil {
		return errors.New(strict.TimeDetail)
	}
	t.Time, err = strict.Time(string(text))
	t.read = err == nil
	return err
}

// hashOf hashes the content of a command: the SHA-256, in lower-case
// hexadecimal, of type, payload, expected version ("" for any) and, if the command
// has one, notBefore, each with its length in front, in 4 bytes, big-endian. Two
// commands with one id are the same command if the hashes are equal.
func hashOf(envelope *eventlog.Envelope) string {
	var room [512]byte
	var digits [20]byte
	version := digits[:0]
	if envelope.ExpectedVersion != nil {
		version = strconv.AppendUint(version, *envelope.ExpectedVersion, 10)
	}
	parts := [...][]byte{envelope.Body, version, nil}
	n := 2
	if !envelope.NotBefore.IsZero() {
		parts[2], n = []byte(eventlog.FormatTime(envelope.NotBefore)), 3
	}
	form := binary.BigEndian.AppendUint32(room[:0], uint32(len(envelope.Type)))
	form = append(form, envelope.Type...)
	for _, part := range parts[:n] {
		form = binary.BigEndian.AppendUint32(form, uint32(len(part)))
		form = append(form, part...)
	}
	sum := sha256.Sum256(form)
	return string(hex.AppendEncode(room[:0], sum[:]))
}
