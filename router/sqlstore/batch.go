package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// batch implements [readmodel.Tx].
type batch struct {
	dialect dialect
	model   *model
	tx      *transaction
	kept    any   // what the last update has kept
	keep    any   // what this update keeps
	ahead   ahead // nil for nothing
}

var _ readmodel.Tx = (*batch)(nil)

// Rows implements [readmodel.Tx].
func (b *batch) Rows(ctx context.Context, name string, keys []projection.Row) ([]projection.Row, error) {
	t, err := b.model.table(name)
	if err != nil {
		return nil, err
	}
	return b.get(ctx, t, keys)
}

// Put implements [readmodel.Tx]. If several rows have the same key, the last
// row counts.
func (b *batch) Put(ctx context.Context, name string, rows []projection.Row) error {
	t, err := b.model.table(name)
	if err != nil {
		return err
	}
	return b.put(ctx, t, rows)
}

// Delete implements [readmodel.Tx].
func (b *batch) Delete(ctx context.Context, name string, keys []projection.Row) error {
	t, err := b.model.table(name)
	if err != nil {
		return err
	}
	return b.remove(ctx, t, keys)
}

func (b *batch) remove(ctx context.Context, t *table, keys []projection.Row) error {
	if len(keys) == 0 {
		return nil
	}
	args, err := b.keyArgs(t, keys)
	if err != nil {
		return err
	}
	delete(b.ahead, t)
	return b.tx.write(ctx, len(keys), t.delete, args, func(err error) error { return fmt.Errorf("delete from %s: %w", t.name, err) })
}

// Heads implements [readmodel.Tx].
func (b *batch) Heads(ctx context.Context, streams []string) (map[string]readmodel.StreamHead, error) {
	return b.headsBy(ctx, b.model.heads.getFor(len(streams)), streams)
}

// headsBy returns the heads that a statement finds for these streams.
func (b *batch) headsBy(ctx context.Context, statement string, streams []string) (map[string]readmodel.StreamHead, error) {
	keys, values := make([]projection.Row, len(streams)), make([]any, len(streams))
	for i, stream := range streams {
		values[i] = stream
		keys[i] = values[i : i+1 : i+1]
	}
	rows, err := b.getBy(ctx, b.model.heads, statement, keys)
	if err != nil {
		return nil, err
	}
	heads := make(map[string]readmodel.StreamHead, len(rows))
	for _, row := range rows {
		stream, head, err := headOf(row)
		if err != nil {
			return nil, err
		}
		heads[stream] = head
	}
	return heads, nil
}

// PutHeads implements [readmodel.Tx]. A reason for parking may quote any bytes:
// bytes that a database refuses are replaced.
func (b *batch) PutHeads(ctx context.Context, heads map[string]readmodel.StreamHead) error {
	return b.put(ctx, b.model.heads, b.rowsOf(heads))
}

// rowsOf are the rows of heads, by stream: neighbours share a page.
func (b *batch) rowsOf(heads map[string]readmodel.StreamHead) []projection.Row {
	columns := len(b.model.heads.columns)
	// The memory is the transaction's: the rows are written before the next.
	room := &b.tx.room
	if b.tx.pipe != nil { // the rows are written later
		room = new(memory)
	}
	rows, values := slices.Grow(room.rows[:0], len(heads)), slices.Grow(room.values[:0], columns*len(heads))
	digests := slices.Grow(room.digests[:0], len(heads)*len(eventlog.Digest{}))
	room.rows, room.values, room.digests = rows, values, digests
	topic := boxed{}
	streams := slices.AppendSeq(make([]string, 0, len(heads)), maps.Keys(heads))
	slices.Sort(streams)
	for _, stream := range streams {
		head := heads[stream]
		digests = append(digests, head.Digest[:]...)
		values = append(values, stream, int64(head.Seq), int64(head.Version), digests[len(digests)-len(head.Digest):],
			"", head.ParkedOffset, topic.of(head.Decided.TopicID), head.Decided.Offset)
		row := values[len(values)-columns:]
		if head.Parked != "" {
			row[4] = strings.ReplaceAll(strings.ToValidUTF8(head.Parked, "\uFFFD"), "\x00", "\uFFFD")
		}
		rows = append(rows, row)
	}
	return rows
}

// boxed makes one value of equal texts that follow each other.
type boxed struct {
	text  string
	value any
}

func (b *boxed) of(text string) any {
	if b.value == nil || b.text != text {
		b.text, b.value = text, text
	}
	return b.value
}

// InsertHeads implements [readmodel.Tx].
func (b *batch) InsertHeads(ctx context.Context, heads map[string]readmodel.StreamHead) error {
	t, rows := b.model.heads, b.rowsOf(heads)
	if len(rows) == 0 {
		return nil
	}
	if err := t.checkRows(rows); err != nil {
		return err
	}
	delete(b.ahead, t)
	return b.dialect.insert(ctx, b.tx, t, rows)
}

// headOf reads a row of PutHeads.
func headOf(row projection.Row) (stream string, head readmodel.StreamHead, err error) {
	stream, _ = row[0].(string)
	seq, _ := row[1].(int64)
	version, _ := row[2].(int64)
	digest, _ := row[3].([]byte)
	head.Seq, head.Version = uint64(seq), uint64(version)
	if head.Digest, err = digestOf(digest); err != nil {
		return "", head, fmt.Errorf("head of stream %s: %w", stream, err)
	}
	head.Parked, _ = row[4].(string)
	head.ParkedOffset, _ = row[5].(int64)
	head.Decided.TopicID, _ = row[6].(string)
	head.Decided.Offset, _ = row[7].(int64)
	return stream, head, nil
}

func digestOf(stored []byte) (d eventlog.Digest, err error) {
	if copy(d[:], stored) != len(d) || len(stored) != len(d) {
		return d, fmt.Errorf("a digest of %d bytes", len(stored))
	}
	return d, nil
}

func (b *batch) keyArgs(t *table, keys []projection.Row) ([]any, error) {
	if err := t.checkKeys(keys); err != nil {
		return nil, err
	}
	return b.dialect.keyArgs(t, keys)
}

func (b *batch) get(ctx context.Context, t *table, keys []projection.Row) ([]projection.Row, error) {
	return b.getBy(ctx, t, t.getFor(len(keys)), keys)
}

func (b *batch) getBy(ctx context.Context, t *table, statement string, keys []projection.Row) ([]projection.Row, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if err := t.checkKeys(keys); err != nil {
		return nil, err
	}
	if statement == t.get || statement == t.getOne {
		if found, ok := b.ahead.get(t, keys); ok {
			return found, nil
		}
	}
	args := []any(keys[0])
	if statement != t.getOne {
		var err error
		if args, err = b.dialect.keyArgs(t, keys); err != nil {
			return nil, err
		}
	}
	found, err := b.tx.rows(ctx, statement, args, t)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.name, err)
	}
	return found, nil
}

func (b *batch) put(ctx context.Context, t *table, rows []projection.Row) error {
	if len(rows) == 0 {
		return nil
	}
	if err := t.checkRows(rows); err != nil {
		return err
	}
	delete(b.ahead, t)
	return b.dialect.put(ctx, b.tx, t, rows)
}
