package operations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

// Record is a record of a stream with the gate's word.
type Record struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
	// Counts says that the gate accepts the record. Ignored is the reason of a
	// record that doesn't count, in words.
	Counts  bool   `json:"counts"`
	Ignored string `json:"ignored,omitempty"`
	// Seq, Version, Prev and Digest are the record's links in the chain. The
	// digest is computed from the record.
	Seq     uint64 `json:"seq"`
	Version uint64 `json:"version"`
	Prev    string `json:"prev"`
	Digest  string `json:"digest"`
	Type    string `json:"type"`
	// Outcome is how the record's command ended: succeeded, unchanged, refused,
	// parked or queued; requeued or dropped for a command of an operator.
	Outcome   string `json:"outcome,omitempty"`
	CommandID string `json:"commandId,omitempty"`
	// CommandPosition is the command's place in topic commands,
	// "<topic id>/<offset>".
	CommandPosition string `json:"commandPosition,omitempty"`
	// Accepted is when a gateway accepted the command, and notBefore at the end of
	// a scheduled command. Appended is when the processor sent the record.
	Accepted string `json:"accepted,omitempty"`
	Appended string `json:"appended"`
	// Body is the record's body, if the body is JSON; otherwise Text has the body.
	Body json.RawMessage `json:"body,omitempty"`
	Text string          `json:"text,omitempty"`
	// State is the aggregate's state after an event that counts. Unreadable says
	// why this binary can't apply the event: the state stays as before.
	State      json.RawMessage `json:"state,omitempty"`
	Unreadable string          `json:"unreadable,omitempty"`
}

// Stream is the result of a scan.
type Stream struct {
	Stream    string `json:"stream"`
	Partition int32  `json:"partition"`
	// Seq, Version and Digest are the stream's head: the number of records that
	// count, and of events, and the digest of the last record.
	Seq     uint64 `json:"seq"`
	Version uint64 `json:"version"`
	Digest  string `json:"digest"`
	// Records are all records with the stream's key, and Ignored the records among
	// them that don't count.
	Records int64 `json:"records"`
	Ignored int64 `json:"ignored"`
	// State is the aggregate's state now, left out for the zero value. Unreadable
	// is the first reason why this binary can't apply an event.
	State      json.RawMessage `json:"state,omitempty"`
	Unreadable string          `json:"unreadable,omitempty"`
	// Read is the number of offsets that the scan has read.
	Read int64 `json:"read"`
	// More says that there are records behind the page.
	More bool `json:"more"`
	// States are the states at the versions of the page.
	States []StateAt `json:"states,omitempty"`
	// Waiting is the number of scheduled commands that wait for their time.
	// Scheduled are the first of these commands, in order of time.
	Waiting   int         `json:"waiting"`
	Scheduled []Scheduled `json:"scheduled,omitempty"`
}

// StateAt is the state at a version, left out for the zero value.
type StateAt struct {
	Version uint64          `json:"version"`
	State   json.RawMessage `json:"state,omitempty"`
}

// StreamLog reads the records of a stream, in order, some at once. fn may get no
// records. [kafka.LogReader] implements StreamLog.
type StreamLog interface {
	Stream(ctx context.Context, stream string, fn func(records []kafka.Stamped, read, all int64) error) error
}

// Page is a page of a stream's records: at most Limit records behind the first
// After records, whether the records count or not, and the states at some
// versions.
type Page struct {
	After    int64
	Limit    int
	Versions []uint64
}

// Scan reads the records of a stream from the log, folds the records that count,
// and hands over the records of a page. progress gets the number of offsets so
// far, and of all offsets. The memory grows with the scheduled commands that
// wait, not with the log.
func Scan(ctx context.Context, log StreamLog, registry *aggregate.Registry, stream string, partitions int32, page Page,
	each func(*Record) error, progress func(read, all int64) error,
) (*Stream, error) {
	of, _ := registry.OfStream(stream)
	if of == nil {
		return nil, notFound(fmt.Sprintf("this service has no aggregate of stream %q", stream))
	}
	f := &streamFold{of: of, registry: registry, waiting: waiting{}, Stream: Stream{Stream: stream, Partition: eventlog.PartitionOf(stream, partitions)}}
	err := log.Stream(ctx, stream, func(records []kafka.Stamped, read, all int64) error {
		for i := range records {
			r := f.fold(&records[i])
			f.Records++
			if err := f.addStates(r, page.Versions); err != nil {
				return err
			}
			switch {
			case f.Records <= page.After:
				continue
			case f.Records > page.After+int64(page.Limit):
				f.More = true
				continue
			}
			if err := f.addState(r); err != nil {
				return err
			}
			if err := each(r); err != nil {
				return err
			}
		}
		f.Read = read
		return progress(read, all)
	})
	if err != nil {
		return nil, err
	}
	f.Waiting, f.Scheduled = len(f.waiting), f.waiting.first(maxScheduled)
	f.Seq, f.Version, f.Digest = f.head.Seq, f.head.Version, f.head.Digest.String()
	f.State, err = of.EncodeState(f.state)
	return &f.Stream, err
}

// streamFold is the fold of a stream's records.
type streamFold struct {
	Stream
	of       *aggregate.Type
	registry *aggregate.Registry
	head     eventlog.Head
	state    any
	waiting  waiting
}

// fold folds a record.
func (f *streamFold) fold(s *kafka.Stamped) *Record {
	r := &Record{
		Partition: s.Partition, Offset: s.Offset, Seq: s.Seq, Version: s.Version, Prev: s.Prev.String(), Digest: s.Digest.String(),
		Type: s.Type, CommandID: s.CommandID, Appended: eventlog.FormatTime(s.Appended),
	}
	if s.CommandPosition.TopicID != "" {
		r.CommandPosition = s.CommandPosition.String()
	}
	if !s.Time.IsZero() {
		r.Accepted = eventlog.FormatTime(s.Time)
	}
	if json.Valid(s.Body) {
		r.Body = s.Body
	} else {
		r.Text = string(s.Body)
	}
	head, counts := f.head.Accept(&s.Record)
	if !counts {
		f.Ignored++
		r.Ignored = whyIgnored(f.head, &s.Record)
		return r
	}
	f.head, r.Counts, r.Outcome = head, true, outcomeOf(s.Type)
	f.waiting.fold(&s.Record)
	if err := f.apply(&s.Record); err != nil {
		r.Unreadable = err.Error()
		if f.Unreadable == "" {
			f.Unreadable = fmt.Sprintf("record %d: %v", s.Seq, err)
		}
	}
	return r
}

// apply applies the event of a record that counts. Behind a record that can't be
// read, the state stays as it is, as in the state store.
func (f *streamFold) apply(r *eventlog.Record) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("applying %s panicked: %v", r.Type, value)
		}
	}()
	switch {
	case r.Unreadable != nil:
		return r.Unreadable
	case !eventlog.IsEvent(r.Type):
		return nil
	}
	event, err := f.registry.DecodeEvent(r.Stream, r.Type, r.Body)
	if err != nil {
		return err
	}
	if f.Unreadable != "" {
		return errors.New("an earlier record can't be applied")
	}
	f.state = f.of.Apply(f.state, event)
	return nil
}

// addState adds the state after a record that counts.
func (f *streamFold) addState(r *Record) (err error) {
	if r.Counts {
		r.State, err = f.of.EncodeState(f.state)
	}
	return err
}

// addStates adds the states at the versions that the record is the first to have.
func (f *streamFold) addStates(r *Record, versions []uint64) error {
	if !r.Counts || !eventlog.IsEvent(r.Type) || !slices.Contains(versions, r.Version) {
		return nil
	}
	state, err := f.of.EncodeState(f.state)
	f.States = append(f.States, StateAt{r.Version, state})
	return err
}

// whyIgnored says in words why the gate does not accept a record behind a head.
func whyIgnored(h eventlog.Head, r *eventlog.Record) string {
	switch {
	case r.Malformed != nil:
		return "this is no record: " + r.Malformed.Error()
	case r.Seq != h.Seq+1:
		return fmt.Sprintf("sequence number %d, and the next is %d", r.Seq, h.Seq+1)
	case r.Prev != h.Digest:
		return "ce_prev is not the digest of the record before"
	default:
		return fmt.Sprintf("version %d does not follow version %d", r.Version, h.Version)
	}
}

// outcomeOf is the outcome of the command of a record.
func outcomeOf(recordType string) string {
	switch recordType {
	case eventlog.TypeCommandUnchanged:
		return "unchanged"
	case eventlog.TypeCommandRefused:
		return "refused"
	case eventlog.TypeCommandParked:
		return "parked"
	case eventlog.TypeCommandQueued:
		return "queued"
	case eventlog.TypeCommandClaiming:
		return "claiming"
	case eventlog.TypeCommandScheduled:
		return "scheduled"
	case eventlog.TypeScheduledCancelled:
		return "cancelled"
	case eventlog.TypeParkedRequeued:
		return "requeued"
	case eventlog.TypeParkedDropped:
		return "dropped"
	default:
		return "succeeded"
	}
}
