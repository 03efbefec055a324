package eventlog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/google/uuid"
)

// Record is one entry of the log, topic events: the outcome of one command.
// It counts only if [Head.Accept] says so.
type Record struct {
	// Partition and Offset say where in the log it stands, once it does.
	Partition int32
	Offset    int64

	ID     string    // ce_id: UUIDv5 of stream, command id and seq
	Type   string    // ce_type: "userCreated", …, "commandRefused", …
	Stream string    // ce_subject, and the Kafka key
	Time   time.Time // ce_time: when the command was accepted, to the millisecond

	Seq     uint64 // ce_seq: the slot in the stream, from 1
	Prev    Digest // ce_prev: the digest of the record in the slot before
	Version uint64 // ce_version: the stream's version after this record

	CommandID       string          // ce_commandid: the command whose outcome this is
	CommandHash     string          // ce_commandhash: what the command said
	CommandPosition CommandPosition // ce_commandposition: where it stands in commands

	// Body is JSON: the event's data, or why there is no event.
	Body []byte

	// Trace is what it is traced by (W3C traceparent), "" if it isn't. It is no
	// part of what the record says: the digest is not over it.
	Trace string

	// Digest is of this record. The next one in the stream names it.
	Digest Digest

	// Malformed says why this can't be a record of any stream. Every fold
	// ignores it.
	Malformed error
	// Unreadable says what of an acceptable record this binary can't read. It
	// keeps its slot, and the fold stops that stream there.
	Unreadable error
}

// CommandPosition is where a command stands in topic commands. The partition
// is that of its stream.
type CommandPosition struct {
	// TopicID is the topic's id (KIP-516): a recreated topic counts anew.
	TopicID string
	Offset  int64
}

// String is "<topic id>/<offset>", as in ce_commandposition.
func (p CommandPosition) String() string {
	return p.TopicID + "/" + strconv.FormatInt(p.Offset, 10)
}

// ParseCommandPosition reads what [CommandPosition.String] writes.
func ParseCommandPosition(text string) (CommandPosition, error) {
	topicID, digits, ok := strings.Cut(text, "/")
	if !ok || topicID == "" {
		return CommandPosition{}, fmt.Errorf("command position %q: want <topic id>/<offset>", text)
	}
	offset, err := parseCount(digits)
	if err != nil {
		return CommandPosition{}, fmt.Errorf("command position %q: %w", text, err)
	}
	// Every stream of a ledger holds a topic id: one copy will do.
	return CommandPosition{TopicID: unique.Make(topicID).Value(), Offset: int64(offset)}, nil
}

// recordNamespace is the UUIDv5 namespace of record ids. It never changes.
var recordNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:millrace:record"))

// Seal fills in what follows from the rest: the id, and the digest.
func (r *Record) Seal() {
	name := r.Stream + "\x00" + r.CommandID + "\x00" + strconv.FormatUint(r.Seq, 10)
	r.ID = uuid.NewSHA1(recordNamespace, []byte(name)).String()
	r.Digest = digestOf(r.Headers(), r.Body)
}

// Headers are a record's headers in Kafka.
func (r *Record) Headers() []Header {
	headers := []Header{
		{HeaderCommandHash, r.CommandHash},
		{HeaderCommandID, r.CommandID},
		{HeaderCommandPosition, r.CommandPosition.String()},
		{HeaderID, r.ID},
		{HeaderPrev, r.Prev.String()},
		{HeaderSeq, strconv.FormatUint(r.Seq, 10)},
		{HeaderSource, Source},
		{HeaderSpecVersion, specVersion},
		{HeaderSubject, r.Stream},
		{HeaderTime, formatTime(r.Time)},
		{HeaderType, r.Type},
		{HeaderVersion, strconv.FormatUint(r.Version, 10)},
		{HeaderContentType, contentType},
	}
	if r.Trace != "" {
		headers = append(headers, Header{HeaderTraceParent, r.Trace})
	}
	return headers
}

// DecodeRecord reads a Kafka record of topic events. It never fails: what is
// wrong with it stands in Malformed or Unreadable.
func DecodeRecord(raw RawMessage, partitions int32) Record {
	r := Record{Partition: raw.Partition, Offset: raw.Offset, Body: raw.Body, Trace: raw.Get(HeaderTraceParent)}
	r.Malformed = r.readChain(raw, partitions)
	if r.Malformed == nil {
		r.Unreadable = r.readRest(raw)
	}
	r.Digest = digestOf(raw.Headers, raw.Body)
	return r
}

// readChain reads what the gate needs.
func (r *Record) readChain(raw RawMessage, partitions int32) error {
	stream, err := raw.stream(partitions)
	if err != nil {
		return err
	}
	r.Stream = stream
	if r.Type = raw.Get(HeaderType); r.Type == "" {
		return fmt.Errorf("no %s", HeaderType)
	}
	if r.Seq, err = parseCount(raw.Get(HeaderSeq)); err != nil {
		return fmt.Errorf("%s: %w", HeaderSeq, err)
	}
	if r.Version, err = parseCount(raw.Get(HeaderVersion)); err != nil {
		return fmt.Errorf("%s: %w", HeaderVersion, err)
	}
	if r.Prev, err = ParseDigest(raw.Get(HeaderPrev)); err != nil {
		return fmt.Errorf("%s: %w", HeaderPrev, err)
	}
	return nil
}

func (r *Record) readRest(raw RawMessage) (err error) {
	if r.ID = raw.Get(HeaderID); r.ID == "" {
		return fmt.Errorf("no %s", HeaderID)
	}
	if v := raw.Get(HeaderSpecVersion); v != specVersion {
		return fmt.Errorf("%s %q: want %s", HeaderSpecVersion, v, specVersion)
	}
	if r.Time, err = parseTime(raw.Get(HeaderTime)); err != nil {
		return err
	}
	if r.CommandID = raw.Get(HeaderCommandID); r.CommandID == "" {
		return fmt.Errorf("no %s", HeaderCommandID)
	}
	r.CommandHash = raw.Get(HeaderCommandHash)
	r.CommandPosition, err = ParseCommandPosition(raw.Get(HeaderCommandPosition))
	return err
}

// timeLayout is RFC 3339 in UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// parseTime reads what formatTime writes, and nothing else.
func parseTime(text string) (time.Time, error) {
	if len(text) == len(timeLayout) && shapeOf(text) == shapeOf(timeLayout) {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil { // its fast way
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q: want RFC 3339 in UTC with milliseconds", HeaderTime, text)
}

// shapeOf is a time's text with every digit made 0.
func shapeOf(text string) (shape [len(timeLayout)]byte) {
	for i := range shape {
		shape[i] = text[i]
		if '0' <= text[i] && text[i] <= '9' {
			shape[i] = '0'
		}
	}
	return shape
}

var errCount = errors.New("want an integer from 0 to 9223372036854775807 in canonical form")

// parseCount reads a count in the one way it is written: no sign, no leading
// zero. Two texts for one number would be two digests for one record.
func parseCount(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, errCount
	}
	return n, nil
}
