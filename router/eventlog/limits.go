package eventlog

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits by which the outcome of every command fits topic events, even a
// commandParked with the whole command, the reason and the stack in it. A limit
// never shrinks: a command below the limit may be in the log already.
const (
	// MaxMessage is the size of the largest message, and of the largest batch of
	// messages, that topics commands and events must take.
	MaxMessage = 1_000_000
	// MaxRecordBody is the size of the largest body of a record.
	MaxRecordBody = 950_000
	// maxCommandBody is the size of the largest body of a command. HTTP takes
	// less.
	maxCommandBody = 768 << 10
	// maxHeader is the size of the largest header of a command, except ce_open.
	maxHeader = 4 << 10
)

// checkSize returns an error for a command whose outcome may not fit.
func (m *RawMessage) checkSize() error {
	if len(m.Body) > maxCommandBody {
		return fmt.Errorf("%d bytes: a command has at most %d", len(m.Body), maxCommandBody)
	}
	if len(m.Key) > maxHeader {
		return fmt.Errorf("a key of %d bytes: at most %d", len(m.Key), maxHeader)
	}
	for _, h := range m.Headers {
		if h.Key == HeaderOpen { // Origin.Check bounds the text
			continue
		}
		if (strings.HasPrefix(h.Key, HeaderPrefix) || h.Key == HeaderTraceParent) && len(h.Value) > maxHeader {
			return fmt.Errorf("a header of %d bytes: at most %d", len(h.Value), maxHeader)
		}
	}
	return nil
}

// Bounded returns a text of at most size bytes and a note: the beginning of a
// longer text, and the text's length.
func Bounded(text string, size int) string {
	if len(text) <= size {
		return text
	}
	for size > 0 && !utf8.RuneStart(text[size]) {
		size--
	}
	return fmt.Sprintf("%s... (%d bytes)", text[:size], len(text))
}
