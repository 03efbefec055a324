package projections

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/millrace/millrace/handlers/users"
	"github.com/millrace/millrace/messaging"
)

// apply folds a batch of one partition's records into a read model, in the
// transaction that moves the checkpoint: the gate, the projection, the rows
// and the streams' heads.
func apply(ctx context.Context, tx Tx, p *Projection, records []messaging.Record, log *slog.Logger) error {
	heads, err := tx.Heads(ctx, streamsOf(records))
	if err != nil {
		return err
	}
	accepted := gate(heads, records)
	var keys []RowKey
	for _, e := range accepted {
		if e.unreadable == nil {
			keys = append(keys, p.Keys(e.Event)...)
		}
	}
	rows, err := fetch(ctx, tx, p, keys)
	if err != nil {
		return err
	}
	for _, e := range accepted {
		head := heads[e.Stream]
		if head.Parked != "" {
			continue // it stopped earlier in this batch
		}
		if err := applyOne(p, rows, e); err != nil {
			rows.takeBack()
			head.Parked, head.ParkedOffset = err.Error(), e.Offset
			heads[e.Stream] = head
			log.Error("parked a stream in a read model", "read model", p.Name, "stream", e.Stream, "partition", e.Partition, "offset", e.Offset, "error", err)
			continue
		}
		rows.keep()
		head.Head = e.head
		if !head.HasDecided(e.CommandPosition) { // what was held longest is decided last
			head.Decided = e.CommandPosition
		}
		heads[e.Stream] = head
	}
	if err := rows.flush(ctx, tx); err != nil {
		return err
	}
	if len(accepted) == 0 {
		return nil
	}
	return tx.PutHeads(ctx, changed(heads, accepted))
}

// acceptedEvent is a record that the gate let through.
type acceptedEvent struct {
	Event
	head       messaging.Head // the stream's, with this record
	unreadable error
}

// gate keeps the records that count, in order.
func gate(heads map[string]StreamHead, records []messaging.Record) []acceptedEvent {
	at := make(map[string]messaging.Head, len(heads))
	accepted := make([]acceptedEvent, 0, len(records))
	for i := range records {
		r := &records[i]
		if heads[r.Stream].Parked != "" {
			continue // redone from the log once it is mended
		}
		before, ok := at[r.Stream]
		if !ok {
			before = heads[r.Stream].Head
		}
		head, ok := before.Accept(r)
		if !ok {
			continue
		}
		at[r.Stream] = head
		e := acceptedEvent{Event: Event{Record: *r}, head: head, unreadable: r.Unreadable}
		if e.unreadable == nil && messaging.IsEvent(r.Type) {
			e.Data, e.unreadable = users.DecodeEvent(r.Type, r.Body)
		}
		accepted = append(accepted, e)
	}
	return accepted
}

func applyOne(p *Projection, rows Rows, e acceptedEvent) (err error) {
	if e.unreadable != nil {
		return e.unreadable
	}
	defer func() {
		if value := recover(); value != nil {
			err = fmt.Errorf("the projection panicked: %v\n%s", value, debug.Stack())
		}
	}()
	return p.Apply(rows, e.Event)
}

func streamsOf(records []messaging.Record) []string {
	seen := make(map[string]bool, len(records))
	streams := make([]string, 0, len(records))
	for i := range records {
		if r := &records[i]; r.Malformed == nil && !seen[r.Stream] {
			seen[r.Stream] = true
			streams = append(streams, r.Stream)
		}
	}
	return streams
}

func changed(heads map[string]StreamHead, accepted []acceptedEvent) map[string]StreamHead {
	out := make(map[string]StreamHead, len(accepted))
	for _, e := range accepted {
		out[e.Stream] = heads[e.Stream]
	}
	return out
}
