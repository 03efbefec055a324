// Package projectiontest tests read models. A [Log] (log.go) holds records. A
// [Model] (model.go) has the engine fold the log into a store: in memory, or on
// the server of $POSTGRES_URL (store.go). A [Client] (client.go) sends queries.
package projectiontest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// partitions is the number of partitions of a [Log]: several, so that streams
// of different partitions share rows.
const partitions = 3

// Log is a log of accepted records. The times are a second apart, from noon of
// 2026-01-02 (UTC) and 45 ms on. The n-th record is the outcome of command
// "c-n", from 1. The zero value is an empty log.
type Log struct {
	// Day is added to the times of later records.
	Day     time.Duration
	records [partitions][]eventlog.Record
	all     []*eventlog.Record // in the order of the writes
	heads   map[string]eventlog.Head
}

// Event writes an event of an aggregate. Event panics if the aggregate can't
// encode the event, or can't read the event back: no service could have written
// such an event.
func (l *Log) Event(of *aggregate.Type, event aggregate.AnyEvent) {
	body, err := of.EncodeEvent(event)
	if err == nil {
		_, err = of.DecodeEvent(event.Type(), body)
	}
	if err != nil {
		panic(fmt.Sprintf("projectiontest: event of aggregate %s: %v", of.Name(), err))
	}
	l.Add(event.Type(), of.Stream(event.AggregateID()), string(body))
}

// Refused writes the refusal of a command.
func (l *Log) Refused(of *aggregate.Type, id, commandType string, refusal *aggregate.Refusal) {
	body, err := json.Marshal(struct {
		CommandType string `json:"commandType"`
		Problem     string `json:"problem"`
		Detail      string `json:"detail"`
	}{commandType, refusal.Slug, refusal.Detail})
	if err != nil {
		panic(err) // texts can be written
	}
	l.Add(eventlog.TypeCommandRefused, of.Stream(id), string(body))
}

// Add writes a record, with the body as JSON: an old event, an event of a newer
// release, or any outcome. Event and Refused are shorter for records of this
// release.
func (l *Log) Add(recordType, stream, body string) {
	l.AddOf(fmt.Sprintf("c-%d", len(l.all)+1), recordType, stream, body)
}

// AddOf is Add with a command id.
func (l *Log) AddOf(commandID, recordType, stream, body string) {
	partition := eventlog.PartitionOf(stream, partitions)
	head := l.heads[stream]
	r := eventlog.Record{
		Partition: partition, Offset: int64(len(l.records[partition])),
		Type: recordType, Stream: stream, Body: []byte(body), CommandID: commandID,
		Seq: head.Seq + 1, Prev: head.Digest, Version: head.Version,
		Time: time.Date(2026, 1, 2, 13, 0, len(l.all), 45e6, time.FixedZone("", 3600)).Add(l.Day),
	}
	if eventlog.IsEvent(recordType) {
		r.Version++
	}
	r.Seal()
	if l.heads == nil {
		l.heads = map[string]eventlog.Head{}
	}
	l.heads[stream], _ = head.Accept(&r)
	l.records[partition] = append(l.records[partition], r)
	l.all = append(l.all, &r)
}

// Again writes a stream's last record once more, as a stale writer would. The
// gate ignores the second record.
func (l *Log) Again(stream string) {
	partition := eventlog.PartitionOf(stream, partitions)
	records := l.records[partition]
	for i := len(records) - 1; i >= 0; i-- {
		if r := records[i]; r.Stream == stream {
			r.Offset = int64(len(records))
			l.records[partition] = append(records, r)
			l.all = append(l.all, &r)
			return
		}
	}
}

// Position returns the end of the log.
func (l *Log) Position() eventlog.Position {
	at := eventlog.Position{}
	for partition, records := range l.records {
		at[int32(partition)] = int64(len(records))
	}
	return at
}

// Follow implements [readmodel.Log].
func (l *Log) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	if records := l.records[partition][from:]; len(records) > 0 {
		if err := fn(records); err != nil {
			return err
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

// End implements [readmodel.Log].
func (l *Log) End(_ context.Context, partition int32) (int64, error) {
	return int64(len(l.records[partition])), nil
}

// At implements [readmodel.Log].
func (l *Log) At(_ context.Context, partition int32, offset int64) (eventlog.Record, error) {
	return l.records[partition][offset], nil
}
