package query

import (
	"context"
	"net/http"
	"runtime"
	"sync"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// maxLookups is how many lookups share a view at most.
const maxLookups = 128

// Found is the result of [Reader.Find].
type Found struct {
	// Row is the row with the key, nil if there is no such row. Several requests may
	// get the same Row: don't change the values.
	Row projection.Row
	// Parked is set if the read model stopped at an event of the stream.
	Parked bool
	// Generation is the number of the read model's generation, for [ETag].
	Generation int
}

// Find is [Reader.Read] of one row by its key, and of whether the stream of the
// row is parked. Requests at the same time share a view: one transaction, one
// look at the checkpoints, and one statement for all rows of a table. So Find
// serves more requests a second than [Reader.ReadOne], but the handler must make
// the answer of a single row, and deal with ids, ETags and rows that are not
// there.
func (rd *Reader) Find(w http.ResponseWriter, r *http.Request, p *projection.Projection, table string, key projection.Row, stream string) (found Found, err error) {
	after, err := parseReadAfter(r.Header)
	if err != nil {
		return found, err
	}
	err = rd.answer(w, r, p, after, func(ctx context.Context, after *awaited) (*readPoint, error) {
		l := &lookup{table: table, key: key, stream: stream, after: after, done: make(chan struct{})}
		rd.lookups.add(rd.Store, p, l)
		select {
		case <-l.done:
			found = l.found
			return l.at, l.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return found, err
}

// lookup is a request for a row.
type lookup struct {
	table  string
	key    projection.Row
	stream string
	after  *awaited // nil without Read-After

	done  chan struct{} // closed when the fields below are set
	found Found
	at    *readPoint
	err   error
}

// lookups are the waiting lookups, by read model.
type lookups struct {
	mu     sync.Mutex
	models map[*projection.Projection]*modelLookups
}

type modelLookups struct {
	waiting []*lookup
	looking bool // while a view is open, new lookups wait for the next view
}

func (q *lookups) add(store readmodel.Store, p *projection.Projection, l *lookup) {
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.models[p]
	if m == nil {
		m = new(modelLookups)
		if q.models == nil {
			q.models = map[*projection.Projection]*modelLookups{}
		}
		q.models[p] = m
	}
	m.waiting = append(m.waiting, l)
	if !m.looking {
		m.looking = true
		go q.look(store, p, m)
	}
}

// look answers waiting lookups, a batch a view, until no lookup waits.
func (q *lookups) look(store readmodel.Store, p *projection.Projection, m *modelLookups) {
	for {
		runtime.Gosched() // so that requests about to ask join
		q.mu.Lock()
		n := min(len(m.waiting), maxLookups)
		if n == 0 {
			m.looking = false
			q.mu.Unlock()
			return
		}
		batch := m.waiting[:n:n]
		if m.waiting = m.waiting[n:]; len(m.waiting) == 0 {
			m.waiting = nil
		}
		q.mu.Unlock()
		lookFor(store, p, batch)
	}
}

// lookFor answers a batch of lookups from one view. A client that leaves does
// not end the view for the others.
func lookFor(store readmodel.Store, p *projection.Projection, batch []*lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), readmodel.ReadTimeout)
	defer cancel()
	err := store.ViewAhead(ctx, p, aheadOf(batch), func(view readmodel.View) error { return find(ctx, view, batch) })
	for _, l := range batch {
		if err != nil {
			l.err = err
		}
		close(l.done)
	}
}

// aheadOf is what find asks of a view, unless streams are parked.
func aheadOf(batch []*lookup) (ahead readmodel.Ahead) {
	for _, l := range batch {
		ahead.Keys = append(ahead.Keys, projection.RowKey{Table: l.table, Key: l.key})
		if l.after != nil && l.after.Command != nil && !l.after.decided {
			ahead.Streams = append(ahead.Streams, l.after.Command.Stream)
		}
	}
	return ahead
}

func find(ctx context.Context, view readmodel.View, batch []*lookup) error {
	checkpoints, err := view.Checkpoints(ctx)
	if err != nil {
		return err
	}
	at := readPointOf(checkpoints)
	keys, streams := map[string][]projection.Row{}, make([]string, 0, len(batch))
	for _, l := range batch {
		keys[l.table] = append(keys[l.table], l.key)
		streams = append(streams, l.stream)
	}
	rows := map[string]map[string]projection.Row{} // by table and key
	for table, keys := range keys {
		found, err := view.Rows(ctx, table, keys)
		if err != nil {
			return err
		}
		rows[table] = make(map[string]projection.Row, len(found))
		for _, row := range found {
			rows[table][readmodel.KeyText(row[:len(keys[0])])] = row
		}
	}
	parked, err := view.Parked(ctx, streams)
	if err != nil {
		return err
	}
	for _, l := range batch {
		head := parked[l.stream]
		l.at, l.err = at, nil
		l.found = Found{rows[l.table][readmodel.KeyText(l.key)], head.Parked != "", view.Generation()}
		if l.after != nil {
			if l.err = includes(ctx, wholeView{view}, checkpoints, l.after); l.err == nil {
				l.err = whole(head)
			}
		}
	}
	return nil
}
