package eventlog

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// ErrNotTaken is in the error of a send that has not begun: Kafka does not have
// the command, and won't get the command later.
var ErrNotTaken = errors.New("the command was not taken")

// Envelope is one message of topic commands: a client's request.
type Envelope struct {
	// Partition and Offset are the place in topic commands, once Kafka holds
	// the message.
	Partition int32
	Offset    int64

	ID     string    // ce_commandid: the client's command id, unique in its stream
	Type   string    // ce_type: the command's type
	Stream string    // ce_subject, and the Kafka key
	Time   time.Time // ce_time: when a gateway accepted the command, to the millisecond

	// Hash is the hash of type, normalised payload and expected version
	// (ce_commandhash). By the hash a repeated command differs from another
	// command with the same id.
	Hash string
	// ExpectedVersion is the stream's version before the command (0: the stream
	// must not exist); nil allows any version.
	ExpectedVersion *uint64
	// NotBefore is the earliest time of the decision, to the millisecond
	// (ce_notbefore). The zero value is now.
	NotBefore time.Time `json:",omitzero"`
	// Origin says which reaction sent the command. A client's command has none.
	Origin *Origin `json:",omitempty"`

	// Body is the payload, JSON.
	Body []byte

	// Trace is the W3C traceparent, "" without a trace.
	Trace string `json:",omitempty"`
}

// commandNamespace is the UUIDv5 namespace of a command's ce_id. The namespace
// never changes.
var commandNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:millrace:command"))

// Headers returns the command's headers in Kafka.
func (e *Envelope) Headers() []Header { return e.AppendHeaders(make([]Header, 0, usualHeaders)) }

// AppendHeaders appends the headers of [Envelope.Headers].
func (e *Envelope) AppendHeaders(to []Header) []Header {
	to = append(to,
		Header{HeaderCommandHash, e.Hash},
		Header{HeaderCommandID, e.ID},
		Header{HeaderID, nameID(commandNamespace, e.Stream, e.ID, e.Hash)},
		Header{HeaderSource, Source},
		Header{HeaderSpecVersion, specVersion},
		Header{HeaderSubject, e.Stream},
		Header{HeaderTime, FormatTime(e.Time)},
		Header{HeaderType, e.Type},
		Header{HeaderContentType, contentType},
	)
	if e.ExpectedVersion != nil {
		to = append(to, Header{HeaderExpectedVersion, strconv.FormatUint(*e.ExpectedVersion, 10)})
	}
	if !e.NotBefore.IsZero() {
		to = append(to, Header{HeaderNotBefore, FormatTime(e.NotBefore)})
	}
	to = e.Origin.appendHeaders(to)
	if e.Trace != "" {
		to = append(to, Header{HeaderTraceParent, e.Trace})
	}
	return to
}

// DecodeEnvelope reads a Kafka record of topic commands; partitions is the
// number of the topic's partitions. A record with an error can't be decided, by
// any binary.
func DecodeEnvelope(raw RawMessage, partitions int32) (Envelope, error) {
	e := Envelope{Partition: raw.Partition, Offset: raw.Offset, Body: raw.Body, Trace: raw.Get(HeaderTraceParent)}
	err := raw.checkSize()
	if err != nil {
		return e, err
	}
	if e.Stream, err = raw.stream(partitions); err != nil {
		return e, err
	}
	if v := raw.Get(HeaderSpecVersion); v != specVersion {
		return e, fmt.Errorf("%s %q: want %s", HeaderSpecVersion, v, specVersion)
	}
	if e.Type = raw.Get(HeaderType); e.Type == "" {
		return e, fmt.Errorf("no %s", HeaderType)
	}
	if e.ID = raw.Get(HeaderCommandID); e.ID == "" {
		return e, fmt.Errorf("no %s", HeaderCommandID)
	}
	if e.Hash = raw.Get(HeaderCommandHash); e.Hash == "" {
		return e, fmt.Errorf("no %s", HeaderCommandHash)
	}
	if e.Time, err = parseTime(HeaderTime, raw.Get(HeaderTime)); err != nil {
		return e, err
	}
	if text, given := raw.lookup(HeaderExpectedVersion); given {
		version, err := parseCount(text)
		if err != nil {
			return e, fmt.Errorf("%s: %w", HeaderExpectedVersion, err)
		}
		e.ExpectedVersion = &version
	}
	if text, given := raw.lookup(HeaderNotBefore); given {
		if e.NotBefore, err = parseTime(HeaderNotBefore, text); err != nil {
			return e, err
		}
	}
	e.Origin, err = raw.origin()
	return e, err
}
