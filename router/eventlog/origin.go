package eventlog

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unique"
)

// Cause is the place of a reaction's command: the n-th command of the record at
// a place of topic events.
type Cause struct {
	// TopicID is the id of topic events (KIP-516), base64url without padding.
	TopicID   string
	Partition int32
	Offset    int64
	// N counts the commands of one record, from 1.
	N int
}

// String returns "<topic id>/<partition>/<offset>/<n>", as in ce_cause.
func (c Cause) String() string { return c.join("/") }

func (c Cause) join(separator string) string {
	return strings.Join([]string{c.TopicID, strconv.Itoa(int(c.Partition)), strconv.FormatInt(c.Offset, 10), strconv.Itoa(c.N)}, separator)
}

// Compare orders causes by topic, partition, offset and number. A reaction sends
// the commands of one partition in this order.
func (c Cause) Compare(other Cause) int {
	return cmp.Or(
		cmp.Compare(c.TopicID, other.TopicID), cmp.Compare(c.Partition, other.Partition),
		cmp.Compare(c.Offset, other.Offset), cmp.Compare(c.N, other.N),
	)
}

// ParseCause reads the form of [Cause.String]. Any other form is an error.
func ParseCause(text string) (Cause, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 4 || parts[0] == "" {
		return Cause{}, fmt.Errorf("cause %q: want <topic id>/<partition>/<offset>/<n>", text)
	}
	var numbers [3]uint64
	for i, most := range [...]uint64{math.MaxInt32, math.MaxInt64, math.MaxInt32} {
		n, err := parseCount(parts[i+1])
		if err != nil {
			return Cause{}, fmt.Errorf("cause %q: %w", text, err)
		}
		if n > most {
			return Cause{}, fmt.Errorf("cause %q: want at most %d", text, most)
		}
		numbers[i] = n
	}
	if numbers[2] == 0 {
		return Cause{}, fmt.Errorf("cause %q: commands count from 1", text)
	}
	// Streams remember causes, so the ids share one copy.
	return Cause{unique.Make(parts[0]).Value(), int32(numbers[0]), int64(numbers[1]), int(numbers[2])}, nil
}

// The limits of an [Origin].
const (
	// MaxDepth bounds the commands of reactions behind each other.
	MaxDepth = 64
	// MaxOpen bounds the open cause streams that a command names.
	MaxOpen = 64
	// maxOpenText is the size of the largest ce_open. With other headers and the
	// largest body, a record still fits [MaxMessage].
	maxOpenText = 16 << 10
)

// Origin says which reaction sent a command, and why. A client's command has
// none. The record of a command has the command's origin.
type Origin struct {
	Reaction string // ce_reaction: the reaction's name
	Cause    Cause  // ce_cause
	Subject  string // ce_causesubject: the stream of the cause
	// Depth counts the reactions' commands behind each other up to this command,
	// from 1 (ce_depth).
	Depth int
	// Open are the cause streams that the reaction has passed over, sorted
	// (ce_open, a JSON array, absent for none).
	Open []string
}

// MachineIDPrefix is the first character of the ids of commands that the router
// itself sends. No client's command id begins so.
const MachineIDPrefix = "@"

// CommandID is the id of the command: "@<reaction>:<topic id>:<partition>:<offset>:<n>".
func (o *Origin) CommandID() string { return MachineIDPrefix + o.Reaction + ":" + o.Cause.join(":") }

// Check returns an error for an origin that can't be on the wire.
func (o *Origin) Check() error {
	switch {
	case o.Reaction == "":
		return fmt.Errorf("no %s", HeaderReaction)
	case o.Subject == "":
		return fmt.Errorf("no %s", HeaderCauseSubject)
	case o.Depth < 1 || o.Depth > MaxDepth:
		return fmt.Errorf("%s %d: want 1 to %d", HeaderDepth, o.Depth, MaxDepth)
	case len(o.Open) > MaxOpen:
		return fmt.Errorf("%s of %d streams: want at most %d", HeaderOpen, len(o.Open), MaxOpen)
	case !slices.IsSorted(o.Open) || len(slices.Compact(slices.Clone(o.Open))) < len(o.Open):
		return fmt.Errorf("%s: want different streams, sorted", HeaderOpen)
	case len(o.Open) > 0 && len(listText(o.Open)) > maxOpenText:
		return fmt.Errorf("%s of %d bytes: want at most %d", HeaderOpen, len(listText(o.Open)), maxOpenText)
	}
	return nil
}

// appendHeaders appends the headers of an origin, none for nil.
func (o *Origin) appendHeaders(to []Header) []Header {
	if o == nil {
		return to
	}
	to = append(to,
		Header{HeaderCause, o.Cause.String()},
		Header{HeaderCauseSubject, o.Subject},
		Header{HeaderDepth, strconv.Itoa(o.Depth)},
	)
	to = appendList(to, HeaderOpen, o.Open)
	return append(to, Header{HeaderReaction, o.Reaction})
}

// origin reads the headers of an origin, nil if there is none of these headers.
func (m *RawMessage) origin() (*Origin, error) {
	any := slices.ContainsFunc(m.Headers, func(h Header) bool {
		switch h.Key {
		case HeaderReaction, HeaderCause, HeaderCauseSubject, HeaderDepth, HeaderOpen:
			return true
		default:
			return false
		}
	})
	if !any {
		return nil, nil //nolint:nilnil // a client's command has no origin
	}
	o := &Origin{Reaction: unique.Make(m.Get(HeaderReaction)).Value(), Subject: m.Get(HeaderCauseSubject)}
	var err error
	if o.Cause, err = ParseCause(m.Get(HeaderCause)); err != nil {
		return nil, fmt.Errorf("%s: %w", HeaderCause, err)
	}
	depth, err := parseCount(m.Get(HeaderDepth))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", HeaderDepth, err)
	}
	o.Depth = int(min(depth, MaxDepth+1))
	if o.Open, err = m.list(HeaderOpen); err != nil {
		return nil, err
	}
	return o, o.Check()
}

// appendList appends a header with a list of texts, unless the list is empty.
func appendList(to []Header, key string, list []string) []Header {
	if len(list) == 0 {
		return to
	}
	return append(to, Header{key, listText(list)})
}

// listText is a list as a JSON array. The form is inside the digest, and never
// changes.
func listText(list []string) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(list); err != nil {
		panic(fmt.Sprintf("encode %q: %v", list, err)) // texts can be written
	}
	return strings.TrimSuffix(out.String(), "\n")
}

var errList = errors.New("want a JSON array of texts, not empty and in canonical form")

// list reads a header of the form of listText, nil for a missing header.
func (m *RawMessage) list(key string) (list []string, err error) {
	text, given := m.lookup(key)
	if !given {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) == 0 || listText(list) != text {
		return nil, fmt.Errorf("%s: %w", key, errList)
	}
	return list, nil
}
