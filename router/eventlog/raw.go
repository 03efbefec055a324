package eventlog

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// RawMessage is a Kafka record before anybody has made sense of it.
type RawMessage struct {
	Partition int32
	Offset    int64
	Key       string
	Headers   []Header
	Body      []byte
	Malformed error
}

// Get is the value of a header, "" if there is none.
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

// stream is the record's subject, which must be its key, and belong to the
// partition that it stands in: what order would it have otherwise?
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
		return "", fmt.Errorf("stream %q stands in partition %d, and belongs in %d", stream, m.Partition, PartitionOf(stream, partitions))
	}
	return stream, nil
}

// ReadHeaders copies a Kafka record's headers behind those that are there. A
// ce_ header that is repeated, or not UTF-8, could be read in two ways.
//
// parts are a header's key and value: any client's headers can be read.
func ReadHeaders[H any](headers []Header, from []H, parts func(H) (key, value []byte), messageKey string) (_ []Header, malformed error) {
	headers = slices.Grow(headers, len(from))
	var passing strings.Builder // one text for all that nobody keeps
	size := 0
	for _, h := range from {
		_, value := parts(h)
		size += len(value)
	}
	for _, h := range from {
		keyBytes, bytes := parts(h)
		key := headerKey(keyBytes)
		var value string
		switch {
		case isPassing(key):
			if passing.Cap() == 0 {
				passing.Grow(size)
			}
			before := passing.Len()
			passing.Write(bytes)
			value = passing.String()[before:]
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

// isPassing says whether a header's text is read, and kept by nobody: a short
// one that is kept would keep all of them.
func isPassing(key string) bool {
	switch key {
	case HeaderSeq, HeaderPrev, HeaderVersion, HeaderTime, HeaderCommandPosition:
		return true
	default:
		return false
	}
}

// headerKey is a header's key, of which there are few: they take no memory.
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
	case HeaderContentType:
		return HeaderContentType
	case HeaderTraceParent:
		return HeaderTraceParent
	default:
		return string(key)
	}
}
