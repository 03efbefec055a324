package eventlog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Envelope is one message of topic commands: what was asked.
type Envelope struct {
	// Partition and Offset say where it stands, once it does.
	Partition int32
	Offset    int64

	ID     string    // ce_commandid: the client's command id, unique for its stream
	Type   string    // ce_type: "createUser", …
	Stream string    // ce_subject, and the Kafka key
	Time   time.Time // ce_time: when it was accepted, to the millisecond

	// Hash is of what the command says (ce_commandhash): type, normalised
	// payload and expected version. It tells a repetition from a command id
	// used for something else.
	Hash string
	// ExpectedVersion is the version that the stream must have (0: must not
	// exist), nil for any.
	ExpectedVersion *uint64

	// Body is the payload, JSON.
	Body []byte

	// Trace is what it is traced by (W3C traceparent), "" if it isn't.
	Trace string `json:",omitempty"`
}

// commandNamespace is the UUIDv5 namespace of commands' ce_id. It never
// changes.
var commandNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:millrace:command"))

// Headers are a command's headers in Kafka.
func (e *Envelope) Headers() []Header {
	id := uuid.NewSHA1(commandNamespace, []byte(e.Stream+"\x00"+e.ID+"\x00"+e.Hash))
	headers := []Header{
		{HeaderCommandHash, e.Hash},
		{HeaderCommandID, e.ID},
		{HeaderID, id.String()},
		{HeaderSource, Source},
		{HeaderSpecVersion, specVersion},
		{HeaderSubject, e.Stream},
		{HeaderTime, formatTime(e.Time)},
		{HeaderType, e.Type},
		{HeaderContentType, contentType},
	}
	if e.ExpectedVersion != nil {
		headers = append(headers, Header{HeaderExpectedVersion, strconv.FormatUint(*e.ExpectedVersion, 10)})
	}
	if e.Trace != "" {
		headers = append(headers, Header{HeaderTraceParent, e.Trace})
	}
	return headers
}

// DecodeEnvelope reads a Kafka record of topic commands. An error means that it
// can't be decided at all.
func DecodeEnvelope(raw RawMessage, partitions int32) (Envelope, error) {
	e := Envelope{Partition: raw.Partition, Offset: raw.Offset, Body: raw.Body, Trace: raw.Get(HeaderTraceParent)}
	var err error
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
	if e.Time, err = parseTime(raw.Get(HeaderTime)); err != nil {
		return e, err
	}
	if text, given := raw.lookup(HeaderExpectedVersion); given {
		version, err := parseCount(text)
		if err != nil {
			return e, fmt.Errorf("%s: %w", HeaderExpectedVersion, err)
		}
		e.ExpectedVersion = &version
	}
	return e, nil
}
