package gateway

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

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
}

// decodeRequest reads a command strictly, and refuses every body with two
// readings (RFC 8259 allows duplicate members, RFC 7493 doesn't). The result is
// a command without a time, and without an id unless the body has one; or the
// errors of the body.
func decodeRequest(registry *aggregate.Registry, body []byte) (*eventlog.Envelope, []web.FieldError) {
	object, wrong := strict.ReadObject(body)
	if wrong != nil {
		return nil, fieldErrors(wrong...)
	}
	req := request{Type: requestType{registry: registry}}
	wrong = object.Into("", &req)
	command := req.Type.command
	if command != nil && req.Payload != nil {
		wrong = append(wrong, req.Payload.Into(atPayload, command)...)
	}
	if len(wrong) > 0 {
		return nil, fieldErrors(wrong...)
	}
	id, wrongID := strict.CheckID(atPayload, req.Type.of, command)
	if wrongID != nil {
		return nil, fieldErrors(*wrongID)
	}
	envelope := &eventlog.Envelope{
		Type: command.Type(), Stream: req.Type.of.Stream(id), Body: decider.EncodeBody(command),
		ExpectedVersion: (*uint64)(req.ExpectedVersion),
	}
	if req.ID != nil {
		envelope.ID = string(*req.ID)
	}
	envelope.Hash = hashOf(envelope)
	return envelope, nil
}

// atPayload is the place of the payload in a request.
const atPayload = "/payload"

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
	of       *aggregate.Type
	command  aggregate.AnyCommand
}

func (t *requestType) UnmarshalJSON(data []byte) error {
	text, err := jsontext.AppendUnquote(nil, data)
	if err == nil {
		t.command, t.of = t.registry.NewCommand(string(text))
	}
	if t.command == nil {
		return fmt.Errorf("must be one of %s", strings.Join(t.registry.CommandTypes(), ", "))
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

// hashOf hashes the content of a command: the SHA-256, in lower-case
// hexadecimal, of type, payload and expected version ("" for any), each with
// its length in front, in 4 bytes, big-endian. Two commands with one id are the
// same command if the hashes are equal.
func hashOf(envelope *eventlog.Envelope) string {
	var room [512]byte
	var digits [20]byte
	version := digits[:0]
	if envelope.ExpectedVersion != nil {
		version = strconv.AppendUint(version, *envelope.ExpectedVersion, 10)
	}
	form := binary.BigEndian.AppendUint32(room[:0], uint32(len(envelope.Type)))
	form = append(form, envelope.Type...)
	for _, part := range [...][]byte{envelope.Body, version} {
		form = binary.BigEndian.AppendUint32(form, uint32(len(part)))
		form = append(form, part...)
	}
	sum := sha256.Sum256(form)
	return string(hex.AppendEncode(room[:0], sum[:]))
}
