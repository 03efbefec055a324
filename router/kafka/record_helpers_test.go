package kafka

import (
	"fmt"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// newRecord returns a record as a partition processor makes records.
func newRecord(stream string, seq int) *eventlog.Record {
	r := &eventlog.Record{
		Type: "userRenamed", Stream: stream, Time: time.UnixMilli(int64(seq)).UTC(),
		Seq: uint64(seq), Version: uint64(seq),
		CommandID: fmt.Sprintf("%s-%d", stream, seq), CommandHash: "hash",
		CommandPosition: eventlog.CommandPosition{TopicID: commandsTopicID, Offset: int64(seq)},
		Body:            []byte(`{"name":"Alice"}`),
	}
	r.Seal()
	return r
}

// newCommand returns an envelope as the gateway sends envelopes.
func newCommand(stream, id string) *eventlog.Envelope {
	return &eventlog.Envelope{ID: id, Type: "renameUser", Stream: stream, Time: time.UnixMilli(1).UTC(), Hash: "hash", Body: []byte(`{"name":"Alice"}`)}
}

// streamIn returns a stream of a partition.
func streamIn(partition int32) string {
	for i := 0; ; i++ {
		if stream := fmt.Sprintf("user-%d", i); eventlog.PartitionOf(stream, partitions) == partition {
			return stream
		}
	}
}
