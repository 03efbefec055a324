package decider

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/millrace/millrace/router/eventlog"
)

// fakeLog is topic events with one partition. The function fate decides about
// each append.
type fakeLog struct {
	mu      sync.Mutex
	grown   *sync.Cond
	records []eventlog.Record
	fate    func() fate
}

type fate int

const (
	lands   fate = iota
	fails        // nothing is written, and the writer hears of an error
	ackLost      // the record is written, and the writer hears of an error
)

func newFakeLog() *fakeLog {
	l := &fakeLog{fate: func() fate { return lands }}
	l.grown = sync.NewCond(&l.mu)
	return l
}

func (l *fakeLog) append(r *eventlog.Record, delivered func(error)) {
	l.mu.Lock()
	f := l.fate()
	if f != fails {
		copied := *r
		copied.Offset = int64(len(l.records))
		l.records = append(l.records, copied)
		l.grown.Broadcast()
	}
	l.mu.Unlock()
	if f == lands {
		delivered(nil)
	} else {
		delivered(errors.New("no ack"))
	}
}

func (l *fakeLog) End(context.Context, int32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.records)), nil
}

func (l *fakeLog) At(_ context.Context, _ int32, offset int64) (eventlog.Record, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[offset], nil
}

func (l *fakeLog) Follow(ctx context.Context, _ int32, from int64, fn func([]eventlog.Record) error) error {
	defer context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.grown.Broadcast()
	})()
	for {
		l.mu.Lock()
		for ctx.Err() == nil && int(from) >= len(l.records) {
			l.grown.Wait()
		}
		behind := l.records[from:]
		batch := slices.Clone(behind[:min(len(behind), 100)]) // as Kafka's fetches, of bounded size
		l.mu.Unlock()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := fn(batch); err != nil {
			return err
		}
		from += int64(len(batch))
	}
}

// accepted is the log through the gate, by stream.
func (l *fakeLog) accepted() map[string][]eventlog.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gated()
}

func (l *fakeLog) gated() map[string][]eventlog.Record {
	heads := map[string]eventlog.Head{}
	out := map[string][]eventlog.Record{}
	for i := range l.records {
		r := &l.records[i]
		if head, ok := heads[r.Stream].Accept(r); ok {
			heads[r.Stream] = head
			out[r.Stream] = append(out[r.Stream], *r)
		}
	}
	return out
}
