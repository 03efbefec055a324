package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/router/eventlog"
)

// Feed reads topic events once for all who follow it in a process: each
// partition while somebody does. It keeps the last records of each, for its
// readers to take: so none of them holds up another, and one that fell behind
// reads on its own until it is there again.
type Feed struct {
	log *LogReader

	mu      sync.Mutex
	closed  bool
	windows map[int32]*window
	ends    map[int32]<-chan struct{} // of each partition's last reading
	stopped context.Context
	stop    context.CancelFunc
	reads   sync.WaitGroup
}

const (
	// windowRecords is how many records of a partition a feed has room for.
	// When it is full, the last windowKept stay, or fewer of great ones.
	windowRecords = 1024
	windowKept    = 256
	// windowBytes is how much the bodies in it may take.
	windowBytes = 1 << 20
	// behindBytes is how much is fetched at once by a reader that is behind.
	behindBytes = 1 << 20
	// behindPatience is how long it waits to ask again when there was nothing.
	behindPatience = 100 * time.Millisecond
)

// Feed opens a feed of the log.
func (k *Kafka) Feed() (*Feed, error) {
	log, err := k.LogReader()
	if err != nil {
		return nil, err
	}
	f := &Feed{log: log, windows: map[int32]*window{}, ends: map[int32]<-chan struct{}{}}
	f.stopped, f.stop = context.WithCancel(context.Background())
	return f, nil
}

// Close ends all reads with an error. It doesn't wait for a broker that hangs.
func (f *Feed) Close() error {
	f.mu.Lock()
	again := f.closed
	f.closed = true
	f.mu.Unlock()
	if again {
		return nil
	}
	f.stop()
	f.reads.Wait()
	return f.log.Close()
}

// FeedReader is a [LogReader] that follows the log through a feed.
type FeedReader struct {
	*LogReader // for all else, and for what the feed has no more
	feed       *Feed
}

// Reader returns a reader that follows the log through the feed. It closes the
// LogReader, but not the feed, when it is closed.
func (f *Feed) Reader(log *LogReader) *FeedReader { return &FeedReader{log, f} }

// Follow hands over the records of a partition, from an offset on, as they
// come, until the context ends. Others have the same records: nobody may change
// them. It returns the context's error, that of fn, or [ErrOffsetGone].
func (r *FeedReader) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return fmt.Errorf("follow partition %d of %s: %w", partition, r.topic, err)
	}
	defer end()
	w, err := r.feed.join(partition)
	if err != nil {
		return fmt.Errorf("follow partition %d of %s: %w", partition, r.topic, err)
	}
	defer r.feed.leave(partition, w)
	for next := from; ctx.Err() == nil; {
		records, elsewhere, grown, ended := w.after(next)
		var again <-chan time.Time
		switch {
		case elsewhere:
			before := next
			if records, next, err = r.fetchFrom(ctx, partition, next); errors.Is(err, ErrOffsetGone) {
				return err
			}
			if err != nil {
				r.log.Debug("reading", "topic", r.topic, "partition", partition, "error", err)
			}
			if next > before {
				break
			}
			again = time.After(behindPatience) // the leader is away, or new and doesn't have it yet
		case len(records) > 0:
			next = records[len(records)-1].Offset + 1
		}
		switch {
		case len(records) > 0:
			if err := fn(records); err != nil {
				return err
			}
		case elsewhere && again == nil: // what was there is no record
		case ended != nil:
			return ended
		default:
			select {
			case <-grown:
			case <-again:
			case <-ctx.Done():
			}
		}
	}
	return context.Cause(ctx)
}

// fetchFrom reads what a reader lacks that the window doesn't have, and where
// that ends.
func (r *FeedReader) fetchFrom(ctx context.Context, partition int32, from int64) ([]eventlog.Record, int64, error) {
	var messages []*sarama.ConsumerMessage
	var next int64
	err := within(ctx, func() (err error) {
		messages, next, err = fetch(r.client, r.topic, partition, from, behindBytes)
		if err != nil && !errors.Is(err, ErrOffsetGone) {
			_ = r.client.RefreshMetadata(r.topic) // the leader may have moved
		}
		return err
	})
	if err != nil {
		return nil, from, fmt.Errorf("partition %d of %s, offset %d: %w", partition, r.topic, from, err)
	}
	records := make([]eventlog.Record, 0, len(messages))
	var headers []eventlog.Header
	for _, m := range messages {
		raw := rawInto(headers, m)
		records, headers = append(records, eventlog.DecodeRecord(raw, r.partitions)), raw.Headers
	}
	return records, next, nil
}

// window is the end of a partition's log, as far as a feed keeps it.
type window struct {
	readers int // guarded by the feed
	stop    context.CancelFunc

	mu    sync.Mutex
	first int64 // the offset from which on it is kept, -1 until that is known
	next  int64 // the offset after its last record
	// records are never changed: when there is no more room for one behind
	// them, the last of them go to a new place.
	records []eventlog.Record
	bytes   int
	grown   chan struct{} // closed when there are more, or it has ended
	err     error         // why it has ended
}

// join begins to read a partition, unless somebody reads it already.
func (f *Feed) join(partition int32) (*window, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	w := f.windows[partition]
	if w == nil {
		w = &window{first: -1, grown: make(chan struct{})}
		var ctx context.Context
		ctx, w.stop = context.WithCancel(f.stopped)
		before, ended := f.ends[partition], make(chan struct{})
		f.windows[partition], f.ends[partition] = w, ended
		f.reads.Go(func() {
			defer close(ended)
			if before != nil { // a partition is read once at a time
				<-before
			}
			err := f.read(ctx, partition, w)
			f.mu.Lock()
			if f.closed {
				err = errClosed
			}
			f.forget(partition, w)
			f.mu.Unlock()
			w.end(err)
		})
	}
	w.readers++
	return w, nil
}

// leave ends the reading of a partition when the last reader leaves it.
func (f *Feed) leave(partition int32, w *window) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.readers--; w.readers == 0 {
		f.forget(partition, w)
		w.stop()
	}
}

// forget has the partition's next reader begin anew. The caller holds the lock.
func (f *Feed) forget(partition int32, w *window) {
	if f.windows[partition] == w {
		delete(f.windows, partition)
	}
}

// read follows the log from its end on: whoever has to read what is before it,
// reads it in bulk, and holds up nobody.
func (f *Feed) read(ctx context.Context, partition int32, w *window) error {
	end, err := f.log.End(ctx, partition)
	if err != nil {
		return err
	}
	w.begin(end)
	return f.log.Follow(ctx, partition, end, func(records []eventlog.Record) error {
		w.add(records)
		return nil
	})
}

func (w *window) begin(at int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first, w.next = at, at
	w.wake()
}

func (w *window) wake() {
	close(w.grown)
	w.grown = make(chan struct{})
}

func (w *window) end(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
	w.wake()
}

// add keeps records, and makes room for them.
func (w *window) add(records []eventlog.Record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.records)+len(records) > windowRecords || w.bytes > windowBytes {
		w.cut(len(records))
	}
	for _, r := range records {
		r.Body = bytes.Clone(r.Body) // it would keep all that was fetched with it
		w.records = append(w.records, r)
		w.bytes += len(r.Body)
	}
	w.next = w.records[len(w.records)-1].Offset + 1
	w.wake()
}

// cut keeps the last records only, in a new place.
func (w *window) cut(more int) {
	from, size := len(w.records), 0
	for from > 0 && len(w.records)-from < windowKept {
		if size += len(w.records[from-1].Body); size > windowBytes/4 {
			break
		}
		from--
	}
	kept := make([]eventlog.Record, 0, max(windowRecords, windowKept+more))
	w.records, w.bytes, w.first = append(kept, w.records[from:]...), 0, w.next
	for i := range w.records {
		w.bytes += len(w.records[i].Body)
	}
	if len(w.records) > 0 {
		w.first = w.records[0].Offset
	}
}

// after returns the records from an offset on, or that they are to be had
// elsewhere, or what tells of more, or why there won't be any.
func (w *window) after(next int64) (records []eventlog.Record, elsewhere bool, grown <-chan struct{}, ended error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.first < 0 || next == w.next:
		return nil, false, w.grown, w.err
	case next < w.first || next > w.next:
		return nil, true, w.grown, w.err
	default:
		i, _ := slices.BinarySearchFunc(w.records, next, func(r eventlog.Record, at int64) int { return int(r.Offset - at) })
		return w.records[i:], false, w.grown, nil
	}
}
