package console

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

const (
	// shownPerSecond is the number of records that a page gets in a second. The
	// others are counted.
	shownPerSecond = 20
	// flushEvery is the time between two events of a page.
	flushEvery = 200 * time.Millisecond
)

// tail follows the log while somebody listens, once for all pages.
type tail struct {
	mu        sync.Mutex
	listeners map[*listener]bool
	end       context.CancelFunc // ends the follow; nil without a listener
	ended     chan struct{}
}

// listener is a page that gets records.
type listener struct {
	filter filter

	mu      sync.Mutex
	queue   []line
	shown   [shownPerSecond]time.Time // the times of the last records that were shown, as a ring
	next    int
	counted int64 // records that were not shown, since the last flush
	passed  int64 // records that the filter did not pick, since the last flush
}

// offer shows or counts records.
func (l *listener) offer(records []eventlog.Record, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range records {
		r := &records[i]
		switch {
		case !l.filter.picks(r):
			l.passed++
		case now.Sub(l.shown[l.next]) < time.Second:
			l.counted++
		default:
			l.shown[l.next] = now
			l.next = (l.next + 1) % shownPerSecond
			l.queue = append(l.queue, lineOf(r))
		}
	}
}

// news is an event of a page: the records, and the number of records that were
// not shown or that the filter did not pick.
type news struct {
	Records []line `json:"records"`
	Counted int64  `json:"counted"`
	Passed  int64  `json:"passed"`
}

// flush returns the news since the last flush.
func (l *listener) flush() (n news, some bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = news{l.queue, l.counted, l.passed}
	l.queue, l.counted, l.passed = nil, 0, 0
	return n, len(n.Records) > 0 || n.Counted > 0 || n.Passed > 0
}

// join adds a listener. The first listener starts to follow the log.
func (l *Log) join(who *listener) {
	t := &l.tail
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listeners == nil {
		t.listeners = map[*listener]bool{}
	}
	t.listeners[who] = true
	if t.end != nil {
		return
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	t.end, t.ended = end, ended
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = l.Follow(ctx, t.offer) // brokers that are away come back
			select {
			case <-ctx.Done():
			case <-time.After(followPause):
			}
		}
	}()
}

// followPause is the pause before another try to follow the log.
const followPause = time.Second

// leave removes a listener. With the last listener the follow ends.
func (l *Log) leave(who *listener) {
	t := &l.tail
	t.mu.Lock()
	delete(t.listeners, who)
	var ended chan struct{}
	if len(t.listeners) == 0 && t.end != nil {
		t.end()
		t.end, ended = nil, t.ended
	}
	t.mu.Unlock()
	if ended != nil {
		<-ended
	}
}

// offer offers records to all listeners.
func (t *tail) offer(records []eventlog.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for who := range t.listeners {
		who.offer(records, now)
	}
}

// follow sends the new records that the filter picks.
func (l *Log) follow(r *http.Request) (func(*EventStream) error, error) {
	who := &listener{filter: filterOf(r.URL.Query())}
	return func(s *EventStream) error {
		l.join(who)
		defer l.leave(who)
		flush := time.NewTicker(flushEvery)
		defer flush.Stop()
		quiet := time.Now()
		for {
			select {
			case <-flush.C:
			case <-s.Context().Done():
				return nil
			}
			n, some := who.flush()
			switch {
			case some:
				if n.Records == nil {
					n.Records = []line{}
				}
				if err := s.Send("records", n); err != nil {
					return err
				}
			case time.Since(quiet) >= s.Quiet():
				if err := s.Alive(); err != nil {
					return err
				}
			default:
				continue
			}
			quiet = time.Now()
		}
	}, nil
}
