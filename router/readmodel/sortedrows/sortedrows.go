// Package sortedrows keeps many changed rows of a table in little memory, and
// hands them over in the order of their keys.
//
// A row is bytes in a long text. So many rows are few objects for the garbage
// collector, and take a third of the memory of values.
package sortedrows

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

const (
	// textSize is the capacity of a text with changes, in bytes.
	textSize = 1 << 20
	// prefixSize is the number of bytes of a key that most comparisons need.
	prefixSize = 8
	// changeSize is the size of a change, in bytes.
	changeSize = 16
)

// Rows are the last changes of rows of a table.
type Rows struct {
	table   *projection.Table
	keys    int // columns of the key
	texts   []*strings.Builder
	changes []change
	size    int
	sorted  bool
	// common is the beginning of all keys.
	common string
	room   []byte // of the change that is being encoded
	// pending are the changes since the last Commit.
	pending []byte
	starts  []int
}

// change is a change of a row. Later changes have a larger place.
type change struct {
	prefix uint64 // the bytes of the key behind the common beginning
	place  uint64 // the number of the text, and the place in the text
}

// New returns no changes of a table's rows.
func New(t *projection.Table) *Rows {
	r := &Rows{table: t}
	for _, c := range t.Columns {
		if c.Key {
			r.keys++
		}
	}
	return r
}

// Put sets a row. The row must fit the table: see [projection.Type.Holds].
func (r *Rows) Put(row projection.Row) { r.add(row[:r.keys], row[r.keys:], put) }

// Delete removes the row with a key.
func (r *Rows) Delete(key projection.Row) { r.add(key, nil, remove) }

// The kinds of a change: the first byte of the change.
const (
	put byte = iota
	remove
)

// add encodes a change: the kind, the length of the key, the key, and the other
// values.
func (r *Rows) add(key, values projection.Row, kind byte) {
	r.starts = append(r.starts, len(r.pending))
	r.room = r.room[:0]
	for _, value := range key {
		r.room = appendKey(r.room, value)
	}
	r.pending = append(r.pending, kind)
	r.pending = binary.AppendUvarint(r.pending, uint64(len(r.room)))
	r.pending = append(r.pending, r.room...)
	for _, value := range values {
		r.pending = appendValue(r.pending, value)
	}
}

// Commit keeps the changes since the last Commit; Rollback forgets them.
func (r *Rows) Commit() {
	if len(r.starts) == 0 {
		return
	}
	last := r.text(len(r.pending))
	at := uint64(len(r.texts)-1)<<32 | uint64(last.Len())
	for _, start := range r.starts {
		r.begin(r.pending[start:])
		r.changes = append(r.changes, change{place: at + uint64(start)})
	}
	last.Write(r.pending)
	r.size += len(r.pending) + changeSize*len(r.starts)
	r.sorted = false
	r.Rollback()
}

// Rollback forgets the changes since the last Commit.
func (r *Rows) Rollback() { r.pending, r.starts = r.pending[:0], r.starts[:0] }

// text is the last text, with room for some bytes.
func (r *Rows) text(bytes int) *strings.Builder {
	if n := len(r.texts); n > 0 && r.texts[n-1].Cap()-r.texts[n-1].Len() >= bytes {
		return r.texts[n-1]
	}
	last := new(strings.Builder)
	last.Grow(max(textSize, bytes))
	r.texts = append(r.texts, last)
	return last
}

// begin shortens the common beginning to the one with the key of a change.
func (r *Rows) begin(encoded []byte) {
	length, n := binary.Uvarint(encoded[1:])
	key := encoded[1+n:][:length]
	if len(r.changes) == 0 {
		r.common = string(key)
		return
	}
	for i := range r.common {
		if i == len(key) || key[i] != r.common[i] {
			r.common = r.common[:i]
			return
		}
	}
}

// Size is the size of the changes, in bytes.
func (r *Rows) Size() int { return r.size }

// Sort orders the changes by key, bytewise. Each does so too.
func (r *Rows) Sort() {
	if r.sorted {
		return
	}
	r.sorted = true
	for i := range r.changes {
		c := &r.changes[i]
		_, key, _ := r.split(c.place)
		c.prefix = prefixOf(key[len(r.common):])
	}
	slices.SortFunc(r.changes, func(a, b change) int {
		if a.prefix != b.prefix {
			return cmp.Compare(a.prefix, b.prefix)
		}
		_, x, _ := r.split(a.place)
		_, y, _ := r.split(b.place)
		if order := strings.Compare(x, y); order != 0 {
			return order
		}
		return cmp.Compare(a.place, b.place)
	})
}

// prefixOf is the beginning of a text, as a number that is ordered as the text.
func prefixOf(key string) uint64 {
	var prefix [prefixSize]byte
	copy(prefix[:], key)
	return binary.BigEndian.Uint64(prefix[:])
}

// split returns the kind and the key of a change, and the text behind the key.
func (r *Rows) split(place uint64) (kind byte, key, rest string) {
	text := r.texts[place>>32].String()[uint32(place):]
	length, rest := uvarint(text[1:])
	return text[0], rest[:length], rest[length:]
}

// Each hands over the rows to put, and the keys of rows to delete, by key, at
// most some at a time. Only the last change of a row counts. fn must not keep
// the slices.
func (r *Rows) Each(most int, fn func(put, remove []projection.Row) error) error {
	r.Sort()
	columns := len(r.table.Columns)
	d := decoder{last: make([]any, columns)}
	puts, removes := make([]projection.Row, 0, min(most, len(r.changes))), []projection.Row(nil)
	values := make([]any, 0, cap(puts)*columns)
	for i := range r.changes {
		kind, key, rest := r.split(r.changes[i].place)
		if i+1 < len(r.changes) {
			if _, next, _ := r.split(r.changes[i+1].place); next == key {
				continue
			}
		}
		start := len(values)
		for c := range r.keys {
			values, key = d.key(values, c, r.table.Columns[c].Type, key)
		}
		if kind == remove {
			removes = append(removes, slices.Clone(values[start:]))
			values = values[:start]
		} else {
			for c := r.keys; c < columns; c++ {
				values, rest = d.value(values, c, r.table.Columns[c].Type, rest)
			}
			puts = append(puts, values[start:])
		}
		if len(puts)+len(removes) < most && i+1 < len(r.changes) {
			continue
		}
		if err := fn(puts, removes); err != nil {
			return err
		}
		puts, removes, values = puts[:0], removes[:0], values[:0]
	}
	return nil
}
