package strict

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// The form of a command's id, and the form in words.
const (
	commandIDForm   = `^[A-Za-z0-9._~:-]{1,128}$`
	CommandIDDetail = "must be 1 to 128 of the characters A-Z a-z 0-9 . _ ~ : -"
)

var commandID = regexp.MustCompile(commandIDForm)

// IsCommandID reports whether a text can be a command's id.
func IsCommandID(text string) bool { return commandID.MatchString(text) }

// VersionDetail is the form of an expected version in words.
const VersionDetail = "must be an integer from 0 to 9007199254740991, without fraction or exponent"

// maxVersion is the greatest integer that every JSON reader holds exactly (RFC
// 8259, section 6).
const maxVersion = 1<<53 - 1

// Version reads an expected version.
func Version(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 53) // JSON has no leading zeros
	if err != nil {
		return 0, errors.New(VersionDetail)
	}
	return n, nil
}

// CheckID asks the aggregate to check the id of a command. The command must
// have the id in the aggregate's own form: otherwise two texts would be one
// stream. Pointers begin with at.
func CheckID(at string, t *aggregate.Type, command aggregate.AnyCommand) (id string, wrong *FieldError) {
	pointer := jsontext.Pointer(at)
	if member := t.IDMember(command.Type()); member != "" {
		pointer = pointer.AppendToken(member)
	}
	id, err := t.ParseID(command.AggregateID())
	switch {
	case err != nil:
		return "", &FieldError{Pointer: string(pointer), Detail: err.Error()}
	case id != command.AggregateID():
		return "", &FieldError{Pointer: string(pointer), Detail: fmt.Sprintf("must be written as %q", id)}
	}
	return id, nil
}

// Join makes one error of the errors of a text, nil for none.
func Join(wrong []FieldError) error {
	texts := make([]string, len(wrong))
	for i, w := range wrong {
		texts[i] = w.Error()
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}

// CheckEnvelope checks what the sender chooses in the headers of a command.
func CheckEnvelope(e *eventlog.Envelope) error {
	switch {
	case e.Origin != nil:
		if err := checkOrigin(e); err != nil {
			return err
		}
	case !IsCommandID(e.ID):
		return fmt.Errorf("%s %s", eventlog.HeaderCommandID, CommandIDDetail)
	}
	switch {
	case !aggregate.IsMessageType(e.Type):
		return fmt.Errorf("%s can't be the type of a command", eventlog.HeaderType)
	case !aggregate.IsStream(e.Stream):
		return fmt.Errorf("%s can't be the name of a stream", eventlog.HeaderSubject)
	case e.ExpectedVersion != nil && *e.ExpectedVersion > maxVersion:
		return fmt.Errorf("%s %s", eventlog.HeaderExpectedVersion, VersionDetail)
	case !e.NotBefore.IsZero() && CheckNotBefore(e.NotBefore, e.Time) != nil:
		return fmt.Errorf("%s %w", eventlog.HeaderNotBefore, CheckNotBefore(e.NotBefore, e.Time))
	}
	return nil
}

// checkOrigin checks what a reaction chooses in the headers of a command.
func checkOrigin(e *eventlog.Envelope) error {
	switch {
	case !aggregate.IsName(e.Origin.Reaction):
		return fmt.Errorf("%s can't be the name of a reaction", eventlog.HeaderReaction)
	case e.ID != e.Origin.CommandID():
		return fmt.Errorf("%s must be %q, by the reaction and the cause", eventlog.HeaderCommandID, e.Origin.CommandID())
	case !aggregate.IsStream(e.Origin.Subject):
		return fmt.Errorf("%s can't be the name of a stream", eventlog.HeaderCauseSubject)
	case slices.ContainsFunc(e.Origin.Open, func(stream string) bool { return !aggregate.IsStream(stream) }):
		return fmt.Errorf("%s has a text that can't be the name of a stream", eventlog.HeaderOpen)
	}
	return nil
}

// maxPayload is the greatest length of a payload, in bytes. A request has at
// most 64 KiB, and the router's own form of some values is longer: of a number
// such as 1e20 four times as long.
const maxPayload = 6 * 64 << 10

// ReadPayload reads the payload of a command of any type.
func ReadPayload(payload []byte) (Object, []FieldError) {
	if len(payload) > maxPayload {
		return nil, []FieldError{{Detail: fmt.Sprintf("must be at most %d bytes long", maxPayload)}}
	}
	return readObject(payload, maxDepth-1) // the request around a payload has the first level
}

// ReadCommand reads a payload into an empty command, as strictly as the gateway
// reads the payload. The payload may also be in the form in which the gateway
// writes commands. The aggregate must accept the command's id; t is nil for a
// command of no aggregate. A panic of a type that reads itself is an error.
func ReadCommand(t *aggregate.Type, payload []byte, command aggregate.AnyCommand) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("reading the payload panicked: %v", value)
		}
	}()
	object, wrong := ReadPayload(payload)
	if wrong == nil {
		wrong = written.members(object, "", command)
	}
	if wrong == nil && t != nil {
		if _, id := CheckID("", t, command); id != nil {
			wrong = []FieldError{*id}
		}
	}
	return Join(wrong)
}
