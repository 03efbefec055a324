package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// LogTail reads topic events once for all folds of a process. A partition is
// read while the partition has a reader. The log tail keeps the last records of
// each partition in a cache, and readers pull from the cache. So a slow reader
// delays nobody: a reader behind the cache fetches on its own until the reader
// has caught up.
type LogTail struct {
	log *LogReader

	mu      sync.Mutex
	closed  bool
	caches  map[int32]*tailCache
	ends    map[int32]<-chan struct{} // by partition: closed when the last read has ended
	stopped context.Context
	stop    context.CancelFunc
	reads   sync.WaitGroup
}

const (
	// tailRecords is the capacity of a partition's cache. A full cache keeps the
	// last tailKept records, or fewer large ones.
	tailRecords = 1024
	tailKept    = 256
	// tailBytes is the limit of a cache's bodies, in bytes.
	tailBytes = 1 << 20
	// tailRest is how long a partition's cache keeps its records, half at least,
	// when no more records come: the readers have them by then.
	tailRest = 10 * time.Second
	// behindBytes is the size of a fetch by a reader behind the cache.
	behindBytes = 1 << 20
	// behindPatience is the pause of such a reader after an empty fetch.
	behindPatience = 100 * time.Millisecond
)

// LogTail opens a log tail.
func (k *Kafka) LogTail() (*LogTail, error) {
	log, err := k.LogReader()
	if err != nil {
		return nil, err
	}
	lt := &LogTail{log: log, caches: map[int32]*tailCache{}, ends: map[int32]<-chan struct{}{}}
	lt.stopped, lt.stop = context.WithCancel(context.Background())
	lt.reads.Go(lt.rest)
	return lt, nil
}

// rest empties the caches of partitions without new records, until the log tail
// is closed: a process that rests needs no memory for records.
func (lt *LogTail) rest() {
	tick := time.NewTicker(tailRest / 2)
	defer tick.Stop()
	for {
		select {
		case <-lt.stopped.Done():
			return
		case <-tick.C:
		}
		lt.mu.Lock()
		caches := slices.Collect(maps.Values(lt.caches))
		lt.mu.Unlock()
		for _, c := range caches {
			c.rest()
		}
	}
}

// Close ends all reads with an error, and doesn't wait for a broker that hangs.
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

// TailReader is a [LogReader] with a Follow method that pulls from a log tail.
type TailReader struct {
	*LogReader // for other reads, and for records before the cache
	tail       *LogTail
}

// Reader returns a reader of the log tail. Closing the reader closes the
// LogReader, but not the log tail.
func (lt *LogTail) Reader(log *LogReader) *TailReader { return &TailReader{log, lt} }

// Follow calls fn with the records of a partition in log order, from offset from
// on, until the context ends. All readers share the records, so fn must not
// change a record. Follow returns the context's cause, fn's first error,
// [ErrOffsetGone], or [ErrDamaged].
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
			if damaged(err) {
				return r.damage(partition, next, err)
			}
			if err != nil {
				r.log.Debug("reading", "topic", r.topic, "partition", partition, "error", err)
			}
			if next > before {
				break
			}
			again = time.After(behindPatience) // no leader, or a new leader without the record
		case len(records) > 0:
			next = records[len(records)-1].Offset + 1
		}
		switch {
		case len(records) > 0:
			if err := fn(records); err != nil {
				return err
			}
		case elsewhere && again == nil: // the fetch had no record, such as a transaction's marker
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

// fetchFrom reads records before the cache, and returns the offset behind the
// last of them.
func (r *TailReader) fetchFrom(ctx context.Context, partition int32, from int64) ([]eventlog.Record, int64, error) {
	messages, next, err := fetchWithin(ctx, r.client, r.topic, partition, from, behindBytes)
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

// RawRecord is a message of topic events as Kafka holds the message, with the
// time when the producer sent the message.
type RawRecord struct {
	eventlog.RawMessage
	Appended time.Time
}

// Raw returns some messages of a partition from an offset on, of about so many
// bytes and at least one, and the offset behind the messages. At the
// partition's end there are no messages. An error may be an [ErrOffsetGone].
// Other reads of the partition may be under way.
func (r *LogReader) Raw(ctx context.Context, partition int32, from int64, bytes int32) (raw []RawRecord, next int64, err error) {
	ctx, end, err := r.begin(ctx)
	if err != nil {
		return nil, from, fmt.Errorf("partition %d of %s: %w", partition, r.topic, err)
	}
	defer end()
	messages, next, err := fetchWithin(ctx, r.client, r.topic, partition, from, bytes)
	if err != nil {
		return nil, from, fmt.Errorf("partition %d of %s, offset %d: %w", partition, r.topic, from, err)
	}
	for _, m := range messages {
		raw = append(raw, RawRecord{rawFromKafka(m), m.Timestamp})
	}
	return raw, next, nil
}

// tailCache has the last records of a partition.
type tailCache struct {
	readers int // guarded by LogTail.mu
	stop    context.CancelFunc

	mu    sync.Mutex
	first int64 // the first offset in the cache, -1 until known
	next  int64 // the offset behind the last record
	// records only grows at the end, because readers hold parts of the slice. A
	// full slice is replaced by a new slice with the last records.
	records []eventlog.Record
	bytes   int
	rested  int64         // next at the last call of rest
	grown   chan struct{} // closed at the next records, and at the end of the read
	err     error         // why the read has ended
}

// join adds a reader to a partition's cache. The first reader starts the read.
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
			if before != nil { // one read per partition at a time
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

// leave removes a reader from a partition's cache. The last reader ends the
// read.
func (lt *LogTail) leave(partition int32, c *tailCache) {
	lt.mu.Lock()
	defer lt.mu.Unlock()
	if c.readers--; c.readers == 0 {
		lt.forget(partition, c)
		c.stop()
	}
}

// forget removes a cache, so the partition's next reader starts a new read. The
// caller holds LogTail.mu.
func (lt *LogTail) forget(partition int32, c *tailCache) {
	if lt.caches[partition] == c {
		delete(lt.caches, partition)
	}
}

// read fills a cache from the log's present end on. Readers with an older offset
// fetch on their own, in bulk.
func (lt *LogTail) read(ctx context.Context, partition int32, c *tailCache) error {
	end, err := lt.log.newest(ctx, partition) // behind a marker too: so readers needn't fetch the marker again
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

// add appends records to the cache, and makes room first.
func (c *tailCache) add(records []eventlog.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.records)+len(records) > tailRecords || c.bytes > tailBytes {
		c.cut(len(records))
	}
	for _, r := range records {
		r.Body = bytes.Clone(r.Body) // the original shares memory with the whole fetch
		c.records = append(c.records, r)
		c.bytes += len(r.Body)
	}
	c.next = c.records[len(c.records)-1].Offset + 1
	c.wake()
}

// cut moves the last records to a new slice with room for more.
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

// rest empties the cache if no record has come since the last call.
func (c *tailCache) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first >= 0 && c.rested == c.next {
		c.records, c.bytes, c.first = nil, 0, c.next
	}
	c.rested = c.next
}

// after returns the cached records from offset next on. Without such records,
// elsewhere says that the cache doesn't have the offset, grown is closed when
// the cache changes, and ended is the error of a read that has ended.
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
