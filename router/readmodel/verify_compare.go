package readmodel

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"iter"
	"slices"
	"strings"

	"github.com/millrace/millrace/router/projection"
)

// Difference is a difference between a read model and the log.
type Difference struct {
	// Table is a table of the projection, or "stream" for a head, or
	// "partition" for a checkpoint.
	Table string
	// Key is the key of the row.
	Key projection.Row
	// Column is the column that differs; "" if the row is missing, or is not in
	// the log.
	Column string
	// Live and Log are the two values, nil without a row.
	Live, Log any
}

const (
	tableOfHeads       = "stream"
	tableOfCheckpoints = "partition"
)

// String is the difference in a line.
func (d Difference) String() string {
	keys := make([]string, len(d.Key))
	for i, value := range d.Key {
		keys[i] = shown(value)
	}
	row := d.Table + " " + strings.Join(keys, ", ")
	switch {
	case d.Column != "":
		return fmt.Sprintf("%s: %s is %s, and the log makes it %s", row, d.Column, shown(d.Live), shown(d.Log))
	case d.Live == nil:
		return row + ": is missing"
	default:
		return row + ": is there, and the log doesn't make it"
	}
}

// SameRow says whether both differences are of the same row.
func (d Difference) SameRow(other Difference) bool {
	return d.Table == other.Table && slices.Equal(d.Key, other.Key)
}

// shown is a value in a line.
func shown(value any) string {
	if text, ok := value.(string); ok {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprint(value)
}

// change is a row or head that differs, with both values. The log's value
// repairs the live read model.
type change struct {
	table     string
	columns   []projection.Column
	key       projection.Row
	live, log projection.Row // nil if there is none

	isHead            bool
	stream            string
	liveHead, logHead StreamHead
}

// differences returns a difference for each column, or a difference of the
// whole row.
func (c change) differences() (all []Difference) {
	d := Difference{Table: c.table, Key: c.key}
	switch {
	case c.live == nil:
		d.Log = c.log
		return []Difference{d}
	case c.log == nil:
		d.Live = c.live
		return []Difference{d}
	}
	for i, column := range c.columns {
		if c.live[i] != c.log[i] {
			d.Column, d.Live, d.Log = column.Name, c.live[i], c.log[i]
			all = append(all, d)
		}
	}
	return all
}

// headColumns are the columns of a head.
var headColumns = []projection.Column{
	{Name: "stream", Key: true}, {Name: "seq"}, {Name: "version"}, {Name: "digest"}, {Name: "parked_offset"}, {Name: "parked"}, {Name: "decided"},
}

func headRow(stream string, h StreamHead) projection.Row {
	return projection.Row{stream, int64(h.Seq), int64(h.Version), h.Digest.String(), h.ParkedOffset, h.Parked, h.Decided.String()}
}

type namedHead struct {
	stream string
	StreamHead
}

// compared is the place that a comparison has reached.
type compared struct {
	list  int            // a table, or the heads behind all tables
	after projection.Row // the last compared key of the list; nil for none
	left  int            // the number of rows and heads that may be compared now
	n     int64          // compared rows and heads
	tell  func(n int64)  // called at times with n
}

// tellEvery is the number of rows and heads between two calls of Verifier.Compared.
const tellEvery = 1000

var errPause = errors.New("compared enough in one view")

// next notes a compared key.
func (c *compared) next(key projection.Row) error {
	c.after = key
	if c.n++; c.n%tellEvery == 0 && c.tell != nil {
		c.tell(c.n)
	}
	if c.left--; c.left < 0 {
		return errPause
	}
	return nil
}

// compare hands over the differences between a view of the live read model and
// the shadow, from a place on. compare returns an errPause, behind the last
// compared row, once enough is compared.
func (v *Verifier) compare(ctx context.Context, s *shadow, live View, at *compared, found func(change) error) error {
	return v.Scratch.View(ctx, s.copy, func(scratch View) error {
		for tables := s.live.Tables; at.list < len(tables); at.list, at.after = at.list+1, nil {
			if err := compareTable(ctx, &tables[at.list], live, scratch, at, found); err != nil {
				return err
			}
		}
		return compareHeads(ctx, live, scratch, at, found)
	})
}

func compareTable(ctx context.Context, table *projection.Table, live, scratch View, at *compared, found func(change) error) error {
	from := at.after
	each := func(v View) func(func(projection.Row) error) error {
		return func(fn func(projection.Row) error) error { return v.Each(ctx, table.Name, from, fn) }
	}
	keyed := func(row projection.Row) projection.Row { return table.KeyOf(row) }
	return merge(each(live), each(scratch), keyed, func(live, log *projection.Row) error {
		c := change{table: table.Name, columns: table.Columns}
		if log != nil {
			c.log, c.key = *log, keyed(*log)
		}
		if live != nil {
			c.live, c.key = *live, keyed(*live)
		}
		if live == nil || log == nil || !equalRows(c.live, c.log) {
			if err := found(c); err != nil {
				return err
			}
		}
		return at.next(c.key)
	})
}

func compareHeads(ctx context.Context, live, scratch View, at *compared, found func(change) error) error {
	from := at.after
	each := func(v View) func(func(namedHead) error) error {
		return func(fn func(namedHead) error) error {
			return v.EachHead(ctx, from, func(stream string, head StreamHead) error { return fn(namedHead{stream, head}) })
		}
	}
	keyed := func(h namedHead) projection.Row { return projection.Row{h.stream} }
	return merge(each(live), each(scratch), keyed, func(live, log *namedHead) error {
		c := change{table: tableOfHeads, columns: headColumns, isHead: true}
		if log != nil {
			c.stream, c.logHead = log.stream, log.StreamHead
			c.log, c.key = headRow(log.stream, log.StreamHead), keyed(*log)
		}
		if live != nil {
			c.stream, c.liveHead = live.stream, live.StreamHead
			c.live, c.key = headRow(live.stream, live.StreamHead), keyed(*live)
		}
		if live == nil || log == nil || !equalRows(c.live, c.log) {
			if err := found(c); err != nil {
				return err
			}
		}
		return at.next(c.key)
	})
}

// sum counts the rows and heads of the shadow, and makes the digest. So many rows
// and heads were compared.
func (v *Verifier) sum(ctx context.Context, s *shadow, proof *Proof, compared int64) error {
	return v.Scratch.View(ctx, s.copy, func(scratch View) error {
		sum := sha256.New()
		proof.Rows, proof.Streams, proof.Accepted = 0, 0, 0
		tell := func() {
			if n := proof.Rows + proof.Streams; n%tellEvery == 0 {
				v.compared(n, max(n, compared))
			}
		}
		for i := range s.live.Tables {
			name := s.live.Tables[i].Name
			err := scratch.Each(ctx, name, nil, func(row projection.Row) error {
				proof.Rows++
				addRow(sum, name, row)
				tell()
				return nil
			})
			if err != nil {
				return err
			}
		}
		err := scratch.EachHead(ctx, nil, func(stream string, head StreamHead) error {
			proof.Streams++
			proof.Accepted += int64(head.Seq)
			addRow(sum, tableOfHeads, headRow(stream, head)[:5]) // without the reason: a reason may contain a stack trace
			tell()
			return nil
		})
		sum.Sum(proof.Digest[:0])
		v.compared(proof.Rows+proof.Streams, proof.Rows+proof.Streams)
		return err
	})
}

func equalRows(a, b projection.Row) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// addRow adds a row to a digest. No two different rows add the same bytes.
func addRow(sum hash.Hash, table string, row projection.Row) {
	var buffer [256]byte
	b := appendText(buffer[:0], table)
	for _, value := range row {
		switch value := value.(type) {
		case string:
			b = appendText(append(b, 's'), value)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 'i'), uint64(value))
		case bool:
			if value {
				b = append(b, 't')
			} else {
				b = append(b, 'f')
			}
		}
	}
	sum.Write(b)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// merge walks through two lists in the order of their keys, and hands over
// pairs with the same key. A partner is nil if a list lacks the key.
func merge[T any](live, log func(func(T) error) error, key func(T) projection.Row, fn func(live, log *T) error) error {
	next, stop := pull(log)
	defer stop()
	at, more, err := next()
	if err != nil {
		return err
	}
	err = live(func(row T) error {
		for more && compareKeys(key(at), key(row)) < 0 {
			if err := fn(nil, &at); err != nil {
				return err
			}
			if at, more, err = next(); err != nil {
				return err
			}
		}
		if !more || compareKeys(key(at), key(row)) > 0 {
			return fn(&row, nil)
		}
		if err := fn(&row, &at); err != nil {
			return err
		}
		at, more, err = next()
		return err
	})
	for err == nil && more {
		if err = fn(nil, &at); err == nil {
			at, more, err = next()
		}
	}
	return err
}

var errStopped = errors.New("stopped")

// pull turns a function that hands over a list into an iterator.
func pull[T any](each func(func(T) error) error) (next func() (T, bool, error), stop func()) {
	var failed error
	ask, stop := iter.Pull(func(yield func(T) bool) {
		err := each(func(one T) error {
			if !yield(one) {
				return errStopped
			}
			return nil
		})
		if !errors.Is(err, errStopped) {
			failed = err
		}
	})
	return func() (T, bool, error) {
		one, ok := ask()
		if ok {
			return one, true, nil
		}
		return one, false, failed
	}, stop
}

// compareKeys orders keys as stores do.
func compareKeys(a, b projection.Row) int {
	for i := range a {
		var order int
		switch x := a[i].(type) {
		case string:
			y, _ := b[i].(string)
			order = cmp.Compare(x, y)
		case int64:
			y, _ := b[i].(int64)
			order = cmp.Compare(x, y)
		case bool:
			if y, _ := b[i].(bool); x != y {
				order = 1
				if y {
					order = -1
				}
			}
		}
		if order != 0 {
			return order
		}
	}
	return 0
}
