package eventlog

import (
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// Command is one message of topic commands: what was asked.
type Command struct {
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

func (c *Command) Headers() []Header {
	id := uuid.NewSHA1(commandNamespace, []byte(c.Stream+"\x00"+c.ID+"\x00"+c.Hash))
	headers := []Header{
		{HeaderCommandHash, c.Hash},
		{HeaderCommandID, c.ID},
		{HeaderID, id.String()},
		{HeaderSource, Source},
		{HeaderSpecVersion, specVersion},
		{HeaderSubject, c.Stream},
		{HeaderTime, formatTime(c.Time)},
		{HeaderType, c.Type},
		{HeaderContentType, contentType},
	}
	if c.ExpectedVersion != nil {
		headers = append(headers, Header{HeaderExpectedVersion, strconv.FormatUint(*c.ExpectedVersion, 10)})
	}
	if c.Trace != "" {
		headers = append(headers, Header{HeaderTraceParent, c.Trace})
	}
	return headers
}

// DecodeCommand reads a Kafka record of topic commands. An error means that it
// can't be decided at all.
func DecodeCommand(raw RawMessage, partitions int32) (Command, error) {
	c := Command{Partition: raw.Partition, Offset: raw.Offset, Body: raw.Body, Trace: raw.Get(HeaderTraceParent)}
	var err error
	if c.Stream, err = raw.stream(partitions); err != nil {
		return c, err
	}
	if v := raw.Get(HeaderSpecVersion); v != specVersion {
		return c, fmt.Errorf("%s %q: want %s", HeaderSpecVersion, v, specVersion)
	}
	if c.Type = raw.Get(HeaderType); c.Type == "" {
		return c, fmt.Errorf("no %s", HeaderType)
	}
	if c.ID = raw.Get(HeaderCommandID); c.ID == "" {
		return c, fmt.Errorf("no %s", HeaderCommandID)
	}
	if c.Hash = raw.Get(HeaderCommandHash); c.Hash == "" {
		return c, fmt.Errorf("no %s", HeaderCommandHash)
	}
	if c.Time, err = parseTime(raw.Get(HeaderTime)); err != nil {
		return c, err
	}
	if text, given := raw.lookup(HeaderExpectedVersion); given {
		version, err := parseCount(text)
		if err != nil {
			return c, fmt.Errorf("%s: %w", HeaderExpectedVersion, err)
		}
		c.ExpectedVersion = &version
	}
	return c, nil
}
