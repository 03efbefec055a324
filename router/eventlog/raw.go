package eventlog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// RawMessage is a Kafka record before decoding.
type RawMessage struct {
	Partition int32
	Offset    int64
	Key       string
	Headers   []Header
	Body      []byte
	// Malformed is the error of [ReadHeaders].
	Malformed error
}

// Get returns the value of a header, "" if the header is missing.
func (m RawMessage) Get(key string) string {
	value, _ := m.lookup(key)
	return value
}

func (m RawMessage) lookup(key string) (value string, given bool) {
	for _, h := range m.Headers {
		if h.Key == key {
			return h.Value, true
		}
	}
	return "", false
}

// ErrElsewhere is the error of a message in another partition than its stream's:
// somebody else wrote the message, or the topic was written with another number
// of partitions.
var ErrElsewhere = errors.New("the message is in another stream's partition")

// stream returns the message's subject. The subject must equal the key, and the
// message must be in the partition of its stream: a message elsewhere has no
// order in the stream.
func (m RawMessage) stream(partitions int32) (string, error) {
	if m.Malformed != nil {
		return "", m.Malformed
	}
	stream := m.Get(HeaderSubject)
	switch {
	case stream == "":
		return "", fmt.Errorf("no %s", HeaderSubject)
	case stream != m.Key:
		return "", fmt.Errorf("%s %q is not the key %q", HeaderSubject, stream, m.Key)
	case PartitionOf(stream, partitions) != m.Partition:
		return "", fmt.Errorf("%w: stream %q stands in partition %d, and belongs in %d", ErrElsewhere, stream, m.Partition, PartitionOf(stream, partitions))
	}
	return stream, nil
}

// ReadHeaders appends a copy of a Kafka record's headers to headers. The
// function parts returns key and value of a header, so the headers may be of any
// Kafka client. A repeated ce_ header, or a ce_ header in another encoding than
// UTF-8, makes the record malformed: readers could differ.
func ReadHeaders[H any](headers []Header, from []H, parts func(H) (key, value []byte), messageKey string) (_ []Header, malformed error) {
	headers = slices.Grow(headers, len(from))
	var passing, kept strings.Builder // one text each for all passing values, and for the values that outlive the record together
	size := 0
	for _, h := range from {
		_, value := parts(h)
		size += len(value)
	}
	part := func(of *strings.Builder, room int, value []byte) string {
		if of.Cap() == 0 {
			of.Grow(room)
		}
		before := of.Len()
		of.Write(value)
		return of.String()[before:]
	}
	for _, h := range from {
		keyBytes, bytes := parts(h)
		key := headerKey(keyBytes)
		var value string
		switch {
		case isPassing(key):
			value = part(&passing, size, bytes)
		case key == HeaderCommandID || key == HeaderCommandHash:
			value = part(&kept, outcomeText, bytes)
		case key == HeaderSubject && string(bytes) == messageKey:
			value = messageKey
		case string(bytes) == specVersion:
			value = specVersion
		case string(bytes) == Source:
			value = Source
		case string(bytes) == contentType:
			value = contentType
		default:
			value = string(bytes)
		}
		if strings.HasPrefix(key, HeaderPrefix) {
			if !utf8.ValidString(key) || !utf8.ValidString(value) {
				malformed = fmt.Errorf("header %q is not UTF-8", key)
			}
			for _, before := range headers {
				if before.Key == key {
					malformed = fmt.Errorf("header %s is repeated", key)
				}
			}
		}
		headers = append(headers, Header{key, value})
	}
	return headers, malformed
}

// outcomeText is room for a command's id and hash in their usual lengths. An
// outcome keeps both.
const outcomeText = 36 + 64

// isPassing reports whether a header's text is parsed and dropped, or lives no
// longer than the record. Such values
// share one string; a value that somebody keeps would keep the whole string.
func isPassing(key string) bool {
	switch key {
	case HeaderID, HeaderSeq, HeaderPrev, HeaderVersion, HeaderTime, HeaderCommandPosition,
		HeaderNotBefore, HeaderCause, HeaderDepth, HeaderOpen, HeaderAsks, HeaderReleases:
		return true
	default:
		return false
	}
}

// headerKey returns a key as string; a known key takes no new memory.
func headerKey(key []byte) string {
	switch string(key) {
	case HeaderSpecVersion:
		return HeaderSpecVersion
	case HeaderID:
		return HeaderID
	case HeaderType:
		return HeaderType
	case HeaderSource:
		return HeaderSource
	case HeaderSubject:
		return HeaderSubject
	case HeaderTime:
		return HeaderTime
	case HeaderSeq:
		return HeaderSeq
	case HeaderPrev:
		return HeaderPrev
	case HeaderVersion:
		return HeaderVersion
	case HeaderCommandID:
		return HeaderCommandID
	case HeaderCommandHash:
		return HeaderCommandHash
	case HeaderCommandPosition:
		return HeaderCommandPosition
	case HeaderExpectedVersion:
		return HeaderExpectedVersion
	case HeaderNotBefore:
		return HeaderNotBefore
	case HeaderReaction:
		return HeaderReaction
	case HeaderCause:
		return HeaderCause
	case HeaderCauseSubject:
		return HeaderCauseSubject
	case HeaderDepth:
		return HeaderDepth
	case HeaderOpen:
		return HeaderOpen
	case HeaderAsks:
		return HeaderAsks
	case HeaderReleases:
		return HeaderReleases
	case HeaderContentType:
		return HeaderContentType
	case HeaderTraceParent:
		return HeaderTraceParent
	default:
		return string(key)
	}
}
