package history

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/readmodel"
)

// event is an event as clients see it, members in this order.
type event struct {
	Version   int64           `json:"version"`
	Type      string          `json:"type"`
	Time      string          `json:"time"`
	Data      json.RawMessage `json:"data"`
	CommandID string          `json:"commandId"`
	// Stale says, on the last one known, that there are later ones that the
	// read model can't apply.
	Stale bool `json:"stale,omitempty"`
}

// inTodaysForm sets type and data of an event that was read from a row. An event
// that no upcast changes is shown as the log has it, members and all that only a
// newer binary knows.
func (e *event) inTodaysForm(registry *aggregate.Registry, stream, data string) error {
	e.Data = json.RawMessage(data)
	t, _ := registry.OfStream(stream)
	if t == nil || slices.Contains(t.EventTypes(), e.Type) {
		return nil
	}
	today, err := registry.DecodeEvent(stream, e.Type, e.Data)
	if errors.Is(err, aggregate.ErrUnknownEvent) {
		return nil // a newer query service wrote the row
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

// events returns up to limit events of a stream, those behind a version.
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

// cursorVersion begins every cursor. Another layout has another one.
const cursorVersion = "\x01"

// encodeCursor names the event that a page ends with, as a token for clients,
// opaque to them: base64url of a version byte and the event's version.
func encodeCursor(version int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorVersion + strconv.FormatInt(version, 10)))
}

var errCursor = errors.New("must be a cursor as the Link header gave it")

// parseCursor reads what encodeCursor writes, and nothing else.
func parseCursor(text string) (int64, error) {
	token, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(token) == 0 {
		return 0, errCursor
	}
	version, err := strconv.ParseUint(string(token[1:]), 10, 63)
	if err != nil || version == 0 || version > math.MaxInt64 || encodeCursor(int64(version)) != text {
		return 0, errCursor
	}
	return int64(version), nil
}
