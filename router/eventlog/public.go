package eventlog

import (
	"fmt"
	"strconv"
)

// EventPlace is the place of an event in topic events, as a public topic has the
// place in ce_position.
type EventPlace struct {
	TopicID   string // of topic events (KIP-516), base64url without padding
	Partition int32
	Offset    int64
}

// String returns "<topic id>/<partition>/<offset>".
func (p EventPlace) String() string {
	return fmt.Sprintf("%s/%d/%d", p.TopicID, p.Partition, p.Offset)
}

// ParseEventPlace reads the form of [EventPlace.String]. Any other form is an
// error.
func ParseEventPlace(text string) (EventPlace, error) {
	c, err := ParseCause(text + "/1")
	if err != nil {
		return EventPlace{}, fmt.Errorf("place %q: want <topic id>/<partition>/<offset>", text)
	}
	return EventPlace{c.TopicID, c.Partition, c.Offset}, nil
}

// PublicHeaders are the headers of an event in a public topic: CloudEvents
// without the chain and the command. The type is today's; topicID is the id of topic
// events.
func (r *Record) PublicHeaders(today, topicID string) []Header {
	headers := []Header{
		{HeaderID, r.ID},
		{HeaderPosition, EventPlace{topicID, r.Partition, r.Offset}.String()},
		{HeaderSource, Source},
		{HeaderSpecVersion, specVersion},
		{HeaderSubject, r.Stream},
		{HeaderTime, FormatTime(r.Time)},
		{HeaderType, today},
		{HeaderVersion, strconv.FormatUint(r.Version, 10)},
		{HeaderContentType, contentType},
	}
	if r.Trace != "" {
		headers = append(headers, Header{HeaderTraceParent, r.Trace})
	}
	return headers
}
