package gateway

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/decider"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/web"
)

// maxDepth is how deep a request may nest; the outermost object has depth 1.
const maxDepth = 32

// request is the body of POST /commands. Members without a pointer are
// required.
type request struct {
	Type            requestType     `json:"type"`
	Payload         requestPayload  `json:"payload"`
	ID              *requestID      `json:"id"`
	ExpectedVersion *requestVersion `json:"expectedVersion"`
}

// decodeRequest reads a command strictly, and refuses every body with two
// readings (RFC 8259 allows duplicate members, RFC 7493 doesn't). The result is
// a command without a time, and without an id unless the body has one; or the
// errors of the body.
func decodeRequest(registry *aggregate.Registry, body []byte) (*eventlog.Envelope, []web.FieldError) {
	if wrong := checkDepth(body); wrong != nil {
		return nil, wrong
	}
	given, ok := membersOf(body)
	if !ok {
		return nil, notJSON(json.Unmarshal(body, new(map[string]jsontext.Value))) // for the error's reason
	}
	req := request{Type: requestType{registry: registry}}
	wrong := decodeMembers(given, "", &req)
	command := req.Type.command
	if command != nil && req.Payload != nil {
		wrong = append(wrong, decodeMembers(req.Payload, "/payload", command)...)
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	id, wrongID := checkID(req.Type.of, command)
	if wrongID != nil {
		return nil, []web.FieldError{*wrongID}
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

// checkID asks the aggregate to check the id of a command. The command must
// have the id in the aggregate's own form: otherwise two texts would be one
// stream.
func checkID(t *aggregate.Type, command aggregate.AnyCommand) (id string, wrong *web.FieldError) {
	at := jsontext.Pointer("/payload")
	if member := t.IDMember(command.Type()); member != "" {
		at = at.AppendToken(member)
	}
	id, err := t.ParseID(command.AggregateID())
	switch {
	case err != nil:
		return "", &web.FieldError{Pointer: string(at), Detail: err.Error()}
	case id != command.AggregateID():
		return "", &web.FieldError{Pointer: string(at), Detail: fmt.Sprintf("must be written as %q", id)}
	}
	return id, nil
}

// decodeMembers reads the members of an object into the fields of a struct, by
// their json tags, and returns all errors: members that are missing (unless the
// field is a pointer or has omitempty), unknown members, and values that the
// field's type refuses.
func decodeMembers(given []member, at jsontext.Pointer, into any) (wrong []web.FieldError) {
	add := func(member, detail string) {
		wrong = append(wrong, web.FieldError{Pointer: string(at.AppendToken(member)), Detail: detail})
	}
	fields := reflect.ValueOf(into).Elem()
	known := make([]string, fields.NumField())
	for i := range known {
		var options string
		known[i], options, _ = strings.Cut(fields.Type().Field(i).Tag.Get("json"), ",")
		known[i] = cmp.Or(known[i], fields.Type().Field(i).Name)
		n := slices.IndexFunc(given, func(m member) bool { return m.name == known[i] })
		if n < 0 {
			if fields.Field(i).Kind() != reflect.Pointer && !strings.Contains(options, "omit") {
				add(known[i], "is required")
			}
			continue
		}
		wrong = append(wrong, decodeMember(given[n].value, at.AppendToken(known[i]), fields.Field(i))...)
	}
	var unknown []string
	for _, m := range given {
		if !slices.Contains(known, m.name) {
			unknown = append(unknown, m.name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		add(name, "is not known; known are "+strings.Join(known, ", "))
	}
	return wrong
}

// member is a member of a JSON object.
type member struct {
	name  string
	value jsontext.Value
}

// membersOf reads the members of an object. The result is false for data that
// are not one object.
func membersOf(object []byte) (members []member, ok bool) {
	in := jsontext.NewDecoder(bytes.NewBuffer(object)) // in reads object in place
	if start, err := in.ReadToken(); err != nil || start.Kind() != '{' {
		return nil, false
	}
	members = make([]member, 0, 4)
	for in.PeekKind() == '"' {
		name, err := in.ReadToken()
		if err != nil {
			return nil, false
		}
		m := member{name: name.String()}
		if m.value, err = in.ReadValue(); err != nil {
			return nil, false
		}
		end := in.InputOffset() // after the next read, m.value would be overwritten
		m.value = object[end-int64(len(m.value)) : end]
		members = append(members, m)
	}
	if _, err := in.ReadToken(); err != nil {
		return nil, false
	}
	_, err := in.ReadToken()
	return members, errors.Is(err, io.EOF)
}

// requestPayload is the members of an object.
type requestPayload []member

func (p *requestPayload) UnmarshalJSON(data []byte) error {
	members, ok := membersOf(data)
	if !ok {
		return errors.New("must be an object")
	}
	*p = members
	return nil
}

// decodeMember reads one value. A type that reads itself says in its own words
// which values the type takes.
func decodeMember(value jsontext.Value, at jsontext.Pointer, field reflect.Value) []web.FieldError {
	refuse := func(detail string) []web.FieldError {
		return []web.FieldError{{Pointer: string(at), Detail: detail}}
	}
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	into := field.Addr().Interface()
	if own, ok := into.(json.Unmarshaler); ok {
		switch err := own.UnmarshalJSON(value); {
		case err != nil:
			return refuse(err.Error())
		case value.Kind() == 'n' && field.Type() != anyJSON:
			return refuse("must not be null")
		}
		return nil
	}
	switch field.Kind() {
	case reflect.Struct:
		members, ok := membersOf(value)
		if !ok {
			return refuse("must be an object")
		}
		return decodeMembers(members, at, into)
	case reflect.Slice:
		if field.Type().Elem().Kind() != reflect.Uint8 { // bytes are a base64 text
			return decodeItems(value, at, field)
		}
	}
	if value.Kind() != 'n' && json.Unmarshal(value, into, asWritten) == nil {
		return nil
	}
	switch field.Kind() {
	case reflect.String, reflect.Slice:
		return refuse("must be a string")
	case reflect.Bool:
		return refuse("must be true or false")
	case reflect.Array:
		return refuse("must be an array")
	case reflect.Map:
		return refuse("must be an object")
	default:
		return refuse("must be a number that fits here")
	}
}

// asWritten reads values strictly, in the form in which encoding/json writes
// values.
var asWritten = json.JoinOptions(json.RejectUnknownMembers(true), jsonv1.FormatDurationAsNano(true), jsonv1.FormatByteArrayAsArray(true))

// anyJSON is the type of a field that takes any value unchanged, null too.
var anyJSON = reflect.TypeFor[stdjson.RawMessage]()

// decodeItems reads an array, item by item.
func decodeItems(value jsontext.Value, at jsontext.Pointer, field reflect.Value) (wrong []web.FieldError) {
	var items []jsontext.Value
	if value.Kind() != '[' || json.Unmarshal(value, &items) != nil {
		return []web.FieldError{{Pointer: string(at), Detail: "must be an array"}}
	}
	field.Set(reflect.MakeSlice(field.Type(), len(items), len(items)))
	for i, item := range items {
		wrong = append(wrong, decodeMember(item, at.AppendToken(strconv.Itoa(i)), field.Index(i))...)
	}
	return wrong
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
	if err != nil || !commandID.Match(text) {
		return errors.New(commandIDDetail)
	}
	*id = requestID(text)
	return nil
}

// requestVersion is an integer that every JSON reader holds exactly (RFC 8259,
// section 6), without fraction and exponent.
type requestVersion uint64

func (v *requestVersion) UnmarshalJSON(data []byte) error {
	n, err := strconv.ParseUint(string(data), 10, 53) // JSON has no leading zeros
	if err != nil {
		return errors.New("must be an integer from 0 to 9007199254740991, without fraction or exponent")
	}
	*v = requestVersion(n)
	return nil
}

// checkDepth refuses bodies that nest too deep. Bodies that are not JSON pass.
func checkDepth(body []byte) []web.FieldError {
	if bytes.Count(body, []byte("{"))+bytes.Count(body, []byte("[")) <= maxDepth {
		return nil
	}
	decoder := jsontext.NewDecoder(bytes.NewReader(body))
	for {
		if _, err := decoder.ReadToken(); err != nil {
			return nil
		}
		if decoder.StackDepth() > maxDepth {
			return []web.FieldError{{
				Pointer: string(decoder.StackPointer()),
				Detail:  fmt.Sprintf("must not nest deeper than %d levels", maxDepth),
			}}
		}
	}
}

// notJSON makes the error of a body that is no JSON object, with the place.
func notJSON(err error) []web.FieldError {
	var syntax *jsontext.SyntacticError
	if !errors.As(err, &syntax) {
		return []web.FieldError{{Detail: "must be a JSON object"}}
	}
	wrong := web.FieldError{Pointer: string(syntax.JSONPointer)}
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		wrong.Detail = "must not stand twice in its object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		wrong.Detail = "ends before the JSON is complete"
	default:
		wrong.Detail = fmt.Sprintf("is not JSON in UTF-8 (RFC 8259), at byte %d", syntax.ByteOffset)
	}
	return []web.FieldError{wrong}
}

// hashOf hashes the content of a command: the SHA-256, in lower-case
// hexadecimal, of type, payload and expected version ("" for any), each with
// its length in front, in 4 bytes, big-endian. Two commands with one id are the
// same command if the hashes are equal.
func hashOf(envelope *eventlog.Envelope) string {
	version := ""
	if envelope.ExpectedVersion != nil {
		version = strconv.FormatUint(*envelope.ExpectedVersion, 10)
	}
	var form []byte
	for _, part := range []string{envelope.Type, string(envelope.Body), version} {
		form = binary.BigEndian.AppendUint32(form, uint32(len(part)))
		form = append(form, part...)
	}
	sum := sha256.Sum256(form)
	return hex.EncodeToString(sum[:])
}
