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

// LogTail reads topic events once for all who follow it in a process: each
// partition while somebody does. It keeps the last records of each, for its
// readers to take: so none of them holds up another, and one that fell behind
// reads on its own until it is there again.
type LogTail struct {
	log *LogReader

	mu      sync.Mutex
	closed  bool
	caches  map[int32]*tailCache
	ends    map[int32]<-chan struct{} // of each partition's last reading
	stopped context.Context
	stop    context.CancelFunc
	reads   sync.WaitGroup
}

const (
	// tailRecords is how many records of a partition a feed has room for.
	// When it is full, the last tailKept stay, or fewer of great ones.
	tailRecords = 1024
	tailKept    = 256
	// tailBytes is how much the bodies in it may take.
	tailBytes = 1 << 20
	// behindBytes is how much is fetched at once by a reader that is behind.
	behindBytes = 1 << 20
	// behindPatience is how long it waits to ask again when there was nothing.
	behindPatience = 100 * time.Millisecond
)

// LogTail opens a feed of the log.
func (k *Kafka) LogTail() (*LogTail, error) {
	log, err := k.LogReader()
	if err != nil {
		return nil, err
	}
	lt := &LogTail{log: log, caches: map[int32]*tailCache{}, ends: map[int32]<-chan struct{}{}}
	lt.stopped, lt.stop = context.WithCancel(context.Background())
	return lt, nil
}

// Close ends all reads with an error. It doesn't wait for a broker that hangs.
func (lt *LogTail) Close() error {
	lt.mu.Lock()
	again := lt.closed
	lt.closed = true
	lt.mu.Unlock()
	if again {
		return nil
	}
	lt.stop()
	lt.reads.Wait()
	return lt.log.Close()
}

// TailReader is a [LogReader] that follows the log through a feed.
type TailReader struct {
	*LogReader // for all else, and for what the feed has no more
	tail       *LogTail
}

// Reader returns a reader that follows the log through the feed. It closes the
// LogReader, but not the feed, when it is closed.
func (lt *LogTail) Reader(log *LogReader) *TailReader { return &TailReader{log, lt} }

// Follow hands over the records of a partition, from an offset on, as they
// come, until the context ends. Others have the same records: nobody may change
// them. It returns the context's error, that of fn, or [ErrOffsetGone].
func (r *TailReader) Follow(ctx context.Context, partition int32, from int64, fn func([]eventlog.Record) error) error {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return fmt.Errorf("follow partition %d of %s: %w", partition, r.topic, err)
	}
	defer end()
	c, err := r.tail.join(partition)
	if err != nil {
		return fmt.Errorf("follow partition %d of %s: %w", partition, r.topic, err)
	}
	defer r.tail.leave(partition, c)
	for next := from; ctx.Err() == nil; {
		records, elsewhere, grown, ended := c.after(next)
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
func (r *TailReader) fetchFrom(ctx context.Context, partition int32, from int64) ([]eventlog.Record, int64, error) {
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

// tailCache is the end of a partition's log, as far as a feed keeps it.
type tailCache struct {
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
func (lt *LogTail) join(partition int32) (*tailCache, error) {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if lt.closed {
		return nil, errClosed
	}
	c := lt.caches[partition]
	if c == nil {
		c = &tailCache{first: -1, grown: make(chan struct{})}
		var ctx context.Context
		ctx, c.stop = context.WithCancel(lt.stopped)
		before, ended := lt.ends[partition], make(chan struct{})
		lt.caches[partition], lt.ends[partition] = c, ended
		lt.reads.Go(func() {
			defer close(ended)
			if before != nil { // a partition is read once at a time
				<-before
			}
			err := lt.read(ctx, partition, c)
			lt.mu.Lock()
			if lt.closed {
				err = errClosed
			}
			lt.forget(partition, c)
			lt.mu.Unlock()
			c.end(err)
		})
	}
	c.readers++
	return c, nil
}

// leave ends the reading of a partition when the last reader leaves it.
func (lt *LogTail) leave(partition int32, c *tailCache) {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if c.readers--; c.readers == 0 {
		lt.forget(partition, c)
		c.stop()
	}
}

// forget has the partition's next reader begin anew. The caller holds the lock.
func (lt *LogTail) forget(partition int32, c *tailCache) {
	if lt.caches[partition] == c {
		delete(lt.caches, partition)
	}
}

// read follows the log from its end on: whoever has to read what is before it,
// reads it in bulk, and holds up nobody.
func (lt *LogTail) read(ctx context.Context, partition int32, c *tailCache) error {
	end, err := lt.log.End(ctx, partition)
	if err != nil {
		return err
	}
	c.begin(end)
	return lt.log.Follow(ctx, partition, end, func(records []eventlog.Record) error {
		c.add(records)
		return nil
	})
}

func (c *tailCache) begin(at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first, c.next = at, at
	c.wake()
}

func (c *tailCache) wake() {
	close(c.grown)
	c.grown = make(chan struct{})
}

func (c *tailCache) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = err
	c.wake()
}

// add keeps records, and makes room for them.
func (c *tailCache) add(records []eventlog.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.records)+len(records) > tailRecords || c.bytes > tailBytes {
		c.cut(len(records))
	}
	for _, r := range records {
		r.Body = bytes.Clone(r.Body) // it would keep all that was fetched with it
		c.records = append(c.records, r)
		c.bytes += len(r.Body)
	}
	c.next = c.records[len(c.records)-1].Offset + 1
	c.wake()
}

// cut keeps the last records only, in a new place.
func (c *tailCache) cut(more int) {
	from, size := len(c.records), 0
	for from > 0 && len(c.records)-from < tailKept {
		if size += len(c.records[from-1].Body); size > tailBytes/4 {
			break
		}
		from--
	}
	kept := make([]eventlog.Record, 0, max(tailRecords, tailKept+more))
	c.records, c.bytes, c.first = append(kept, c.records[from:]...), 0, c.next
	for i := range c.records {
		c.bytes += len(c.records[i].Body)
	}
	if len(c.records) > 0 {
		c.first = c.records[0].Offset
	}
}

// after returns the records from an offset on, or that they are to be had
// elsewhere, or what tells of more, or why there won't be any.
func (c *tailCache) after(next int64) (records []eventlog.Record, elsewhere bool, grown <-chan struct{}, ended error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.first < 0 || next == c.next:
		return nil, false, c.grown, c.err
	case next < c.first || next > c.next:
		return nil, true, c.grown, c.err
	default:
		i, _ := slices.BinarySearchFunc(c.records, next, func(r eventlog.Record, at int64) int { return int(r.Offset - at) })
		return c.records[i:], false, c.grown, nil
	}
}
