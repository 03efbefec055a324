package eventlog

import (
	"crypto/sha1" //nolint:gosec // RFC 9562 names by SHA-1
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/google/uuid"
)

// Record is one entry of the log, topic events: the outcome of one command. A
// record counts only if [Head.Accept] accepts the record.
type Record struct {
	// Partition and Offset are the place in the log, once Kafka holds the record.
	Partition int32
	Offset    int64

	ID     string    // ce_id: UUIDv5 of stream, command id and sequence number
	Type   string    // ce_type: an event's type, or an outcome such as commandRefused
	Stream string    // ce_subject, and the Kafka key
	Time   time.Time // ce_time: when a gateway accepted the command, to the millisecond

	Seq     uint64 // ce_seq: the sequence number in the stream, from 1
	Prev    Digest // ce_prev: the digest of the stream's record before
	Version uint64 // ce_version: the stream's version after this record

	CommandID       string          // ce_commandid: the id of the command
	CommandHash     string          // ce_commandhash: the hash of the command
	CommandPosition CommandPosition // ce_commandposition: the command's place in topic commands

	// Origin says which reaction sent the command. The record of a client's
	// command has none.
	Origin *Origin
	// Asks are the streams of the claims that the command waits for (ce_asks, a
	// JSON array, absent for none).
	Asks []string
	// Releases are the streams of the claims that this record gives back
	// (ce_releases, a JSON array, absent for none).
	Releases []string

	// Body is JSON: the event's data, or the reason for another outcome.
	Body []byte

	// Trace is the W3C traceparent, "" without a trace. The trace is outside of
	// the digest.
	Trace string

	// Digest is this record's own digest, and ce_prev of the next record in the
	// stream.
	Digest Digest

	// Malformed says why the message is no record of any stream. Every fold
	// ignores a malformed record.
	Malformed error
	// Unreadable says why this binary can't read an acceptable record. The
	// record keeps its sequence number, and the fold stops the stream there.
	Unreadable error
}

// CommandPosition is a command's place in topic commands. The partition follows
// from the stream.
type CommandPosition struct {
	// TopicID is the topic's id (KIP-516), base64url without padding. A topic
	// that was made anew has another id, and new offsets.
	TopicID string
	Offset  int64
}

// String returns "<topic id>/<offset>", as in ce_commandposition.
func (p CommandPosition) String() string {
	return p.TopicID + "/" + strconv.FormatInt(p.Offset, 10)
}

// ParseCommandPosition reads the form of [CommandPosition.String]. Any other
// form is an error.
func ParseCommandPosition(text string) (CommandPosition, error) {
	topicID, digits, ok := strings.Cut(text, "/")
	if !ok || topicID == "" {
		return CommandPosition{}, fmt.Errorf("command position %q: want <topic id>/<offset>", text)
	}
	offset, err := parseCount(digits)
	if err != nil {
		return CommandPosition{}, fmt.Errorf("command position %q: %w", text, err)
	}
	// Every stream of a state store has a topic id, so the ids share one copy.
	return CommandPosition{TopicID: unique.Make(topicID).Value(), Offset: int64(offset)}, nil
}

// recordNamespace is the UUIDv5 namespace of record ids. The namespace never
// changes.
var recordNamespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:millrace:record"))

// Seal sets the fields that follow from all others: ID and Digest.
func (r *Record) Seal() {
	var seq [20]byte
	r.ID = nameID(recordNamespace, r.Stream, r.CommandID, string(strconv.AppendUint(seq[:0], r.Seq, 10)))
	var room [usualHeaders]Header
	r.Digest = digestOf(r.AppendHeaders(room[:0]), r.Body)
}

// usualHeaders is the largest number of headers of a client's command or its
// record.
const usualHeaders = 14

// Headers returns the record's headers in Kafka.
func (r *Record) Headers() []Header { return r.AppendHeaders(make([]Header, 0, usualHeaders)) }

// AppendHeaders appends the headers of [Record.Headers]. One text has all values
// that are made here.
func (r *Record) AppendHeaders(to []Header) []Header {
	var room [224]byte
	var made texts
	text := append(room[:0], r.CommandPosition.TopicID...)
	text = strconv.AppendInt(append(text, '/'), r.CommandPosition.Offset, 10)
	made.end(text)
	text = hex.AppendEncode(text, r.Prev[:])
	made.end(text)
	text = strconv.AppendUint(text, r.Seq, 10)
	made.end(text)
	text = r.Time.UTC().AppendFormat(text, timeLayout)
	made.end(text)
	text = strconv.AppendUint(text, r.Version, 10)
	made.end(text)
	made.text = string(text)
	to = append(to,
		Header{HeaderCommandHash, r.CommandHash},
		Header{HeaderCommandID, r.CommandID},
		Header{HeaderCommandPosition, made.next()},
		Header{HeaderID, r.ID},
		Header{HeaderPrev, made.next()},
		Header{HeaderSeq, made.next()},
		Header{HeaderSource, Source},
		Header{HeaderSpecVersion, specVersion},
		Header{HeaderSubject, r.Stream},
		Header{HeaderTime, made.next()},
		Header{HeaderType, r.Type},
		Header{HeaderVersion, made.next()},
		Header{HeaderContentType, contentType},
	)
	if r.Trace != "" {
		to = append(to, Header{HeaderTraceParent, r.Trace})
	}
	to = r.Origin.appendHeaders(to)
	to = appendList(to, HeaderAsks, r.Asks)
	return appendList(to, HeaderReleases, r.Releases)
}

// texts are some texts in one string.
type texts struct {
	text   string
	ends   [5]int
	n, got int
	start  int
}

// end says that a text ends here.
func (t *texts) end(text []byte) {
	t.ends[t.n] = len(text)
	t.n++
}

// next is the next text.
func (t *texts) next() string {
	end := t.ends[t.got]
	text := t.text[t.start:end]
	t.start = end
	t.got++
	return text
}

// nameID is the UUIDv5 of some texts in a namespace: NUL stands between the
// texts.
func nameID(namespace uuid.UUID, names ...string) string {
	var room [512]byte
	form := append(room[:0], namespace[:]...)
	for i, name := range names {
		if i > 0 {
			form = append(form, 0)
		}
		form = append(form, name...)
	}
	sum := sha1.Sum(form) //nolint:gosec // RFC 9562 names by SHA-1
	id := uuid.UUID(sum[:len(uuid.UUID{})])
	id[6] = id[6]&0x0f | 5<<4 // the version
	id[8] = id[8]&0x3f | 0x80 // the variant
	return id.String()
}

// DecodeRecord reads a Kafka record of topic events; partitions is the number
// of the topic's partitions. DecodeRecord never fails: the fields Malformed and
// Unreadable have the errors.
func DecodeRecord(raw RawMessage, partitions int32) Record {
	r := Record{Partition: raw.Partition, Offset: raw.Offset, Body: raw.Body, Trace: raw.Get(HeaderTraceParent)}
	r.Malformed = r.readChain(raw, partitions)
	if r.Malformed == nil {
		r.Unreadable = r.readRest(raw)
	}
	r.Digest = digestOf(raw.Headers, raw.Body)
	return r
}

// readChain reads the headers for the gate.
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

// readRest reads all other headers.
func (r *Record) readRest(raw RawMessage) (err error) {
	if r.ID = raw.Get(HeaderID); r.ID == "" {
		return fmt.Errorf("no %s", HeaderID)
	}
	if v := raw.Get(HeaderSpecVersion); v != specVersion {
		return fmt.Errorf("%s %q: want %s", HeaderSpecVersion, v, specVersion)
	}
	if r.Time, err = parseTime(HeaderTime, raw.Get(HeaderTime)); err != nil {
		return err
	}
	if r.CommandID = raw.Get(HeaderCommandID); r.CommandID == "" {
		return fmt.Errorf("no %s", HeaderCommandID)
	}
	r.CommandHash = raw.Get(HeaderCommandHash)
	if r.CommandPosition, err = ParseCommandPosition(raw.Get(HeaderCommandPosition)); err != nil {
		return err
	}
	if r.Origin, err = raw.origin(); err != nil {
		return err
	}
	if r.Asks, err = raw.list(HeaderAsks); err != nil {
		return err
	}
	r.Releases, err = raw.list(HeaderReleases)
	return err
}

// timeLayout is RFC 3339 in UTC, to the millisecond.
const timeLayout = "2006-01-02T15:04:05.000Z"

// FormatTime returns a time as RFC 3339 in UTC, to the millisecond: the form of
// ce_time, of answers and of the rows of read models.
func FormatTime(t time.Time) string { return t.UTC().Format(timeLayout) }

// parseTime reads a header of the form of FormatTime. Any other form is an error.
func parseTime(key, text string) (time.Time, error) {
	if len(text) == len(timeLayout) && shapeOf(text) == shapeOf(timeLayout) {
		if t, err := time.Parse(time.RFC3339Nano, text); err == nil { // this layout has a fast path
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%s %q: want RFC 3339 in UTC with milliseconds", key, text)
}

// shapeOf returns a time's text with every digit replaced by 0.
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

// parseCount reads a number without sign and leading zeros. Two texts for one
// number would be two digests for one record.
func parseCount(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, errCount
	}
	return n, nil
}
