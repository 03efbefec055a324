package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/query"
	"github.com/millrace/millrace/router/readmodel"
)

const (
	// pageSize is the number of changes in one read.
	pageSize = 500
	// A client is cut off if more pages, or more changes, wait for the client.
	maxPagesBehind   = 1024
	maxChangesBehind = 8192
	// feedTimeout bounds one read of the store. feedRetry is the pause after a failed
	// read.
	feedTimeout = 10 * time.Second
	feedRetry   = 250 * time.Millisecond
)

// change is an event as followers see events.
type change struct {
	Stream string `json:"stream"`
	event

	partition int32
	offset    int64
}

// feed reads new changes once for all followers, as long as there are followers.
type feed struct {
	*query.Reader
	registry  *aggregate.Registry
	maxBehind int64 // changes

	mu        sync.Mutex
	at        eventlog.Position // the end of the last page
	followers map[*follower]bool
	leave     context.CancelFunc // ends the reading
}

// follower is a client who gets the changes after the position from.
type follower struct {
	from eventlog.Position
	// pages has the next pages, which all followers share. The channel is closed when
	// the follower is cut off.
	pages  chan []change
	behind atomic.Int64 // the number of changes in pages
	cut    func()
}

// give hands over a page, unless too much waits already.
func (who *follower) give(page []change, maxBehind int64) bool {
	if who.behind.Add(int64(len(page))) > maxBehind {
		return false
	}
	select {
	case who.pages <- page:
		return true
	default:
		return false
	}
}

// taken counts a page as sent.
func (who *follower) taken(page []change) { who.behind.Add(-int64(len(page))) }

// follow starts a follower at the present position of the feed. cut is called
// when the follower is too slow.
func (f *feed) follow(ctx context.Context, cut func()) (*follower, error) {
	now, err := f.position(ctx)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.followers) == 0 {
		var reading context.Context
		reading, f.leave = context.WithCancel(context.Background())
		f.at, f.followers = now, map[*follower]bool{}
		go f.read(reading, now)
	}
	who := &follower{from: f.at, pages: make(chan []change, maxPagesBehind), cut: cut}
	f.followers[who] = true
	return who, nil
}

func (f *feed) unfollow(who *follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.drop(who)
}

func (f *feed) drop(who *follower) {
	if f.followers[who] {
		delete(f.followers, who)
		if len(f.followers) == 0 {
			f.leave()
		}
	}
}

// read hands over new changes until there are no followers.
func (f *feed) read(ctx context.Context, at eventlog.Position) {
	for f.AwaitMove(ctx, Projection, at) && ctx.Err() == nil {
		next, err := f.pages(ctx, at, nil, func(page []change, to eventlog.Position) error {
			if !f.publish(ctx, page, to) {
				return ctx.Err()
			}
			return nil
		})
		if err != nil || at.Covers(next) { // the store is away, or the live generation is behind
			select {
			case <-time.After(feedRetry):
			case <-ctx.Done():
			}
		}
		at = next
	}
}

// publish hands a page to all followers, and cuts off slow followers.
func (f *feed) publish(ctx context.Context, page []change, to eventlog.Position) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return false // another reader may have begun
	}
	f.at = to
	if len(page) == 0 {
		return true
	}
	for who := range f.followers {
		if !who.give(page, f.maxBehind) {
			close(who.pages)
			who.cut()
			f.drop(who)
		}
	}
	return true
}

// position is the position of the read model.
func (f *feed) position(ctx context.Context) (at eventlog.Position, err error) {
	err = f.view(ctx, func(_ context.Context, _ readmodel.View, to eventlog.Position) error {
		at = to
		return nil
	})
	return at, err
}

var errBehind = errors.New("the read model is not as far as its followers are")

// pages hands over the changes between two positions, a page at a time, and
// returns the position reached. Without the second position, pages stops at the
// position of the read model. A page has changes of one partition; each gets the
// position after the page.
func (f *feed) pages(ctx context.Context, from, to eventlog.Position, each func([]change, eventlog.Position) error) (eventlog.Position, error) {
	for {
		var page []change
		next, more := from, false
		err := f.view(ctx, func(ctx context.Context, view readmodel.View, at eventlog.Position) (err error) {
			end := at
			if to != nil {
				if end = to; !at.Covers(to) { // after a rollback the live generation may be behind
					return errBehind
				}
			}
			for partition, last := range end {
				if from[partition] >= last {
					continue
				}
				page, err = f.pageOf(ctx, view, partition, from[partition], last)
				next = from.Max(eventlog.Position{partition: last})
				if len(page) == pageSize {
					next = from.Max(eventlog.Position{partition: page[pageSize-1].offset + 1})
				}
				more = true
				return err
			}
			return nil
		})
		if err != nil || !more {
			return from, err
		}
		if err := each(page, next); err != nil {
			return from, err
		}
		from = next
	}
}

func (f *feed) view(ctx context.Context, read func(context.Context, readmodel.View, eventlog.Position) error) error {
	ctx, cancel := context.WithTimeout(ctx, feedTimeout)
	defer cancel()
	return f.Store.View(ctx, Projection, func(view readmodel.View) error {
		checkpoints, err := view.Checkpoints(ctx)
		if err != nil {
			return err
		}
		return read(ctx, view, readmodel.PositionOf(checkpoints))
	})
}

// pageOf returns the first changes of a partition between two offsets.
func (f *feed) pageOf(ctx context.Context, view readmodel.View, partition int32, from, to int64) ([]change, error) {
	rows, err := view.Query(ctx, "SELECT stream, version, type, time, data, command_id, log_offset FROM {events}"+
		" WHERE log_partition = $1 AND log_offset >= $2 AND log_offset < $3 ORDER BY log_offset LIMIT $4",
		int64(partition), from, to, pageSize)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	defer rows.Close()
	var page []change
	for rows.Next() {
		c := change{partition: partition}
		var data string
		if err := rows.Scan(&c.Stream, &c.Version, &c.Type, &c.Time, &data, &c.CommandID, &c.offset); err != nil {
			return nil, fmt.Errorf("read a change: %w", err)
		}
		if err := c.inTodaysForm(f.registry, c.Stream, data); err != nil {
			return nil, err
		}
		page = append(page, c)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return page, nil
}
