package handlers

import (
	"errors"
	"fmt"
	"path"
	"runtime"
	"strings"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// decide makes the one record that a command ends as, in the stream's next
// slot. It is pure: time and ids come from the command's own message, so the
// same command on the same stream is the same record, whoever decides.
func decide(s *stream, c *messaging.Command, wish users.Command, at messaging.CommandPosition) messaging.Record {
	recordType, body := operate(s, c, wish)
	switch {
	case recordType != "":
	case s.held != nil:
		recordType, body = messaging.TypeCommandQueued, encode(held(c, "an earlier command of this user is parked", ""))
	default:
		recordType, body = decideNow(s, c, wish)
	}
	return seal(s, c, at, recordType, body)
}

// decideHeld makes the record that the stream's first held command ends as.
func decideHeld(s *stream) messaging.Record {
	h := &s.held.first
	recordType, body := resume(s, h)
	return seal(s, &h.Command, h.At, recordType, body)
}

// seal puts an outcome into the stream's next slot.
func seal(s *stream, c *messaging.Command, at messaging.CommandPosition, recordType string, body []byte) messaging.Record {
	r := messaging.Record{
		Partition:       c.Partition,
		Type:            recordType,
		Stream:          c.Stream,
		Time:            c.Time,
		Seq:             s.head.Seq + 1,
		Prev:            s.head.Digest,
		Version:         s.head.Version,
		CommandID:       c.ID,
		CommandHash:     c.Hash,
		CommandPosition: at,
		Body:            body,
	}
	if messaging.IsEvent(recordType) {
		r.Version++
	}
	r.Seal()
	return r
}

// decideNow asks the domain. What it can't decide is parked.
func decideNow(s *stream, c *messaging.Command, wish users.Command) (recordType string, body []byte) {
	if s.unreadable != nil {
		return messaging.TypeCommandParked, encode(held(c, s.unreadable.Error(), ""))
	}
	if c.ExpectedVersion != nil && *c.ExpectedVersion != s.head.Version {
		return refused(c, versionMismatch(s.head.Version, *c.ExpectedVersion))
	}
	event, err := decideSafely(wish, s.user)
	var no *users.Refusal
	var panicked *panicError
	switch {
	case errors.As(err, &no):
		return refused(c, no)
	case errors.As(err, &panicked):
		return messaging.TypeCommandParked, encode(held(c, panicked.Error(), panicked.stack))
	case err != nil:
		return messaging.TypeCommandParked, encode(held(c, err.Error(), ""))
	case event == nil:
		return messaging.TypeCommandUnchanged, encode(unchangedBody{CommandType: c.Type})
	default:
		return event.Type(), encode(event)
	}
}

// SlugVersionMismatch is the refusal of a command whose expectedVersion is
// not the user's version.
const SlugVersionMismatch = "version-mismatch"

func versionMismatch(is, expected uint64) *users.Refusal {
	return &users.Refusal{
		Slug:   SlugVersionMismatch,
		Detail: fmt.Sprintf("the user has version %d, not %d", is, expected),
	}
}

func refused(c *messaging.Command, no *users.Refusal) (string, []byte) {
	return messaging.TypeCommandRefused, encode(refusedBody{CommandType: c.Type, Problem: no.Slug, Detail: no.Detail})
}

func held(c *messaging.Command, reason, stack string) heldBody {
	return heldBody{
		CommandType: c.Type, Payload: c.Body, ExpectedVersion: c.ExpectedVersion,
		Reason: reason, Stack: stack,
	}
}

// panicError is a decision that panicked. Trying again changes nothing: it is
// pure.
type panicError struct {
	value any
	stack string
}

func (e *panicError) Error() string { return fmt.Sprintf("the decision panicked: %v", e.value) }

func decideSafely(wish users.Command, u users.User) (event users.Event, err error) {
	defer func() {
		if value := recover(); value != nil {
			event, err = nil, &panicError{value, domainStack()}
		}
	}()
	return wish.Decide(u)
}

// domainStack is where the domain panicked. It stops at decideSafely, and has
// no goroutines, addresses or folders: the same panic is the same record,
// whoever decides.
func domainStack() string {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	var text strings.Builder
	for more := true; more; {
		var f runtime.Frame
		if f, more = frames.Next(); strings.HasSuffix(f.Function, ".decideSafely") {
			break
		}
		fmt.Fprintf(&text, "%s\n\t%s:%d\n", f.Function, path.Base(f.File), f.Line)
	}
	return text.String()
}
