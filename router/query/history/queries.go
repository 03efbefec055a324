package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
)

// event is an event as clients see events, members in this order.
type event struct {
	Version   int64           `json:"version"`
	Type      string          `json:"type"`
	Time      string          `json:"time"`
	Data      json.RawMessage `json:"data"`
	CommandID string          `json:"commandId"`
	// Stale is set on the last event of a parked stream: the read model can't apply
	// the later events.
	Stale bool `json:"stale,omitempty"`
}

// inTodaysForm sets type and data of an event from a row. Without an upcast,
// clients see the event as in the log, even members that only a newer binary
// knows.
func (e *event) inTodaysForm(registry *aggregate.Registry, stream, data string) error {
	e.Data = json.RawMessage(data)
	t, _ := registry.OfStream(stream)
	if t == nil || slices.Contains(t.EventTypes(), e.Type) {
		return nil
	}
	today, err := registry.DecodeEvent(stream, e.Type, e.Data)
	if errors.Is(err, aggregate.ErrUnknownEvent) {
		return nil // written by a newer query service
	}
	if err != nil {
		return fmt.Errorf("upcast an event of stream %q: %w", stream, err)
	}
	e.Type = today.Type()
	if e.Data, err = json.Marshal(today); err != nil {
		return fmt.Errorf("encode an event of stream %q: %w", stream, err)
	}
	return nil
}

// events returns up to limit events of a stream, after a version.
func (q queries) events(ctx context.Context, view readmodel.View, stream string, after int64, limit int) ([]event, error) {
	rows, err := view.Query(ctx, "SELECT version, type, time, data, command_id FROM {events}"+
		" WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3", stream, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	defer rows.Close()
	found := []event{} // an empty list is [], and not null
	for rows.Next() {
		var e event
		var data string
		if err := rows.Scan(&e.Version, &e.Type, &e.Time, &data, &e.CommandID); err != nil {
			return nil, fmt.Errorf("read an event: %w", err)
		}
		if err := e.inTodaysForm(q.registry, stream, data); err != nil {
			return nil, err
		}
		found = append(found, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return found, nil
}

// encodeCursor makes the cursor of a page whose last event has this version.
func encodeCursor(version int64) string { return query.EncodeCursor(strconv.FormatInt(version, 10)) }

// parseCursor reads a cursor of encodeCursor.
func parseCursor(text string) (int64, error) {
	key, err := query.DecodeCursor(text)
	if err != nil {
		return 0, err
	}
	version, err := strconv.ParseInt(key, 10, 64)
	if err != nil || version < 1 || strconv.FormatInt(version, 10) != key {
		return 0, query.ErrCursor
	}
	return version, nil
}
