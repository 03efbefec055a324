// Package projectiontest is for the tests of read models: a log to write, a
// store that the engine folds it into, and clients of its queries.
package projectiontest

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// partitions of a [Log]: enough for streams to share rows across.
const partitions = 3

// Log is a log of accepted records, a second apart from noon of 2026-01-02
// on. The n-th is of command "c-n".
type Log struct {
	// Day is added to the time of the records to come.
	Day     time.Duration
	records [partitions][]eventlog.Record
	all     []*eventlog.Record // in the order in which they were written
	heads   map[string]eventlog.Head
}

// Add writes a record to a stream.
func (l *Log) Add(recordType, stream, body string) {
	l.AddOf(fmt.Sprintf("c-%d", len(l.all)+1), recordType, stream, body)
}

// AddOf writes the record of a command.
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

// Again writes a stream's last record a second time, as a writer does who
// doesn't know that it is there. It doesn't count.
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

// Position is where the log ends.
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
