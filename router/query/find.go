package query

import (
	"context"
	"net/http"
	"runtime"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel"
)

// maxLookups is how many share a view at most.
const maxLookups = 128

// Found is what [Reader.Find] finds.
type Found struct {
	// Row is the row with the key, nil if there is none. Others have it too.
	Row projection.Row
	// Parked says that the stream stopped in the read model.
	Parked bool
	// Generation is which of the read model's generations it is.
	Generation int
}

// Find is [Reader.Read] of one row by its key, and of whether a stream, whose
// row it is, is parked. Requests that come while others are at it share the
// next view: one transaction, one look at the checkpoints, and one statement
// for all of their rows.
func (rd *Reader) Find(w http.ResponseWriter, r *http.Request, p *projection.Projection, table string, key projection.Row, stream string) (found Found, err error) {
	after, err := parseReadAfter(r.Header)
	if err != nil {
		return found, err
	}
	err = rd.answer(w, r, p, after, func(ctx context.Context, after *eventlog.Awaited) (*readPoint, error) {
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

// lookup is one row that is looked for.
type lookup struct {
	table  string
	key    projection.Row
	stream string
	after  *eventlog.Awaited // nil for whenever

	done  chan struct{} // closed when the rest is set
	found Found
	at    *readPoint
	err   error
}

// lookups are those that wait, by read model.
type lookups struct {
	mu     sync.Mutex
	models map[*projection.Projection]*modelLookups
}

type modelLookups struct {
	waiting []*lookup
	looking bool // one view at a time: the more come meanwhile, the more share the next
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

// look looks for what waits, until nothing does.
func (q *lookups) look(store readmodel.Store, p *projection.Projection, m *modelLookups) {
	for {
		runtime.Gosched() // those who are about to ask come along
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

// lookFor looks for rows in one view. None of their clients ends it for the
// others.
func lookFor(store readmodel.Store, p *projection.Projection, batch []*lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), readmodel.ReadTimeout)
	defer cancel()
	err := store.View(ctx, p, func(view readmodel.View) error { return find(ctx, view, batch) })
	for _, l := range batch {
		if err != nil {
			l.err = err
		}
		close(l.done)
	}
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
