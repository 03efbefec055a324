package decider

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/kafka"
)

// Changed streams are written back in batches. A batch is a cut: the offset and
// the digest of a partition, and each changed stream exactly as at that offset.
// The streams are frozen under the partition's lock, and encoded and written
// without the lock.

const (
	// writeEvery is the time between two batches, and between two flushes.
	writeEvery = time.Second
	// writeAfter is the number of changed streams that make a batch due.
	writeAfter = 1000
	// maxChanged bounds the changed streams of a partition: the fold waits for a
	// batch. So a cut takes a bounded time.
	maxChanged = 8192
	// settleAtOnce bounds the streams that become clean under one hold of the lock.
	settleAtOnce = 256
)

// onDisk is what a stream has on disk besides its value, once the batch under
// way is written.
type onDisk struct {
	firstBlock               uint64
	deferredFrom, deferredTo uint64
	waiting                  waitingMark
}

func (s *stream) onDisk() onDisk {
	return onDisk{
		firstBlock:   s.outcomes.firstBlock(),
		deferredFrom: s.deferredEnd - uint64(s.deferred.len()), deferredTo: s.deferredEnd,
		waiting: s.waitingMark(),
	}
}

// thawed is a copy of a frozen stream that may change. The frozen stream keeps
// its slices: a change of the copy appends, or makes slices of its own.
func (s *stream) thawed() *stream {
	c := *s
	c.earlierChanged = false
	c.outcomes.ownBlocks, c.outcomes.ownNewest = false, false
	c.outcomes.thaws++
	c.schedule = s.schedule.copied()
	if c.deferred != nil {
		q := *c.deferred
		q.firstChanged = false
		c.deferred = &q
	}
	return &c
}

// change makes a stream ready for a change. The lock is held.
func (p *processor) change(c *cachedStream) *stream {
	switch {
	case c.stream == nil:
		return new(stream)
	case c.frozen:
		c.stream, c.frozen = c.stream.thawed(), false
	}
	return c.stream
}

// hasChanged notes a change of a stream. The lock is held.
func (p *processor) hasChanged(c *cachedStream) {
	if p.disk == nil {
		c.stream.takeUnwritten()
	} else if !c.changed {
		c.changed = true
		p.changed = append(p.changed, c)
		if !c.writing {
			p.waits += c.size
		}
	}
	p.resize(c)
}

// cut is a batch of one partition.
type cut struct {
	processor *processor
	meta      partitionMeta
	streams   []frozenStream
	ignored   []int64 // offsets
}

// frozenStream is a changed stream as at the cut.
type frozenStream struct {
	cached *cachedStream
	stream *stream
	was    onDisk // before the batch
	// scheduled is what has changed in the stream's schedule.
	scheduled map[uint64]scheduleChange
}

// cut freezes the changed streams. The result is nil if nothing has moved since
// the last cut.
func (p *processor) cut() *cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := time.Now()
	p.makeRoom()
	next := p.folded.Next()
	if next == p.saved {
		return nil
	}
	p.saved = next
	c := &cut{processor: p, meta: p.metaNow(next), ignored: p.notes.cut(), streams: make([]frozenStream, 0, len(p.changed))}
	for _, s := range p.changed {
		c.streams = append(c.streams, frozenStream{s, s.stream, s.disk, s.stream.takeUnwritten()})
		s.disk = s.stream.onDisk()
		s.changed, s.writing, s.frozen = false, true, true
	}
	clear(p.changed)
	p.changed, p.writing = p.changed[:0], c.streams
	p.stoodStill(began)
	return c
}

// committed makes the streams of a cut clean, unless a stream has changed since.
func (c *cut) committed() {
	for rest := c.streams; len(rest) > 0; {
		n := min(settleAtOnce, len(rest))
		c.processor.clean(rest[:n])
		rest = rest[n:]
	}
	p := c.processor
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writing, p.notes.writing = nil, nil
	if p.room != nil {
		close(p.room)
		p.room = nil
	}
}

func (p *processor) clean(streams []frozenStream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	began := time.Now()
	for _, f := range streams {
		c := f.cached
		for _, b := range f.stream.outcomes.blocks {
			b.written = true
		}
		p.noteWritten(f.stream)
		if c.writing = false; !c.changed {
			p.waits -= c.size
		}
		if c.stream == f.stream { // not changed since
			c.frozen, c.stream.earlierChanged = false, false
			if c.stream.deferred != nil {
				c.stream.deferred.firstChanged = false
			}
		}
		p.settle(c)
	}
	p.stoodStill(began)
}

func (p *processor) stoodStill(since time.Time) {
	if p.stood != nil {
		p.stood(time.Since(since))
	}
}

// writeBack writes batches until the context ends. The error says why the store
// can't go on.
func (ss *StateStore) writeBack(ctx context.Context) error {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for flushed := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ss.due:
		case err := <-ss.broken:
			return err
		case <-ctx.Done():
			return nil
		}
		written, err := ss.writeBatch(ctx)
		if err != nil {
			return err
		}
		ss.unflushed = ss.unflushed || written
		if ss.unflushed && time.Since(flushed) >= writeEvery {
			if err := ss.insist(ctx, ss.Disk.Flush); err != nil {
				return nil
			}
			flushed, ss.unflushed = time.Now(), false
		}
	}
}

// writeLast writes what has changed at the end, if the disk takes it at once.
func (ss *StateStore) writeLast() {
	if ss.Refusal() != nil {
		return // the next start folds more of the log
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := ss.writeBatch(ended); err != nil {
		ss.logger.Warn("can't write the state store; the next start folds more of the log", "error", err)
		return
	}
	if err := ss.Disk.Flush(); err != nil {
		ss.logger.Warn("can't write the state store; the next start folds more of the log", "error", err)
	}
}

// writeBatch writes the changes of all partitions, and tries again until the
// disk takes them. The error says why the changes can't be written at all. If the
// context ends first, nothing is written any more: a later batch would have an
// offset, and not the streams of this one.
func (ss *StateStore) writeBatch(ctx context.Context) (written bool, err error) {
	if ss.torn {
		return false, nil
	}
	var cuts []*cut
	batch := &ss.batch
	batch.reset()
	for _, p := range ss.processors {
		c := p.cut()
		if c == nil {
			continue
		}
		if err := batch.add(c); err != nil {
			return false, err
		}
		cuts = append(cuts, c)
	}
	if len(cuts) == 0 {
		return false, nil
	}
	if err := ss.insist(ctx, func() error { return ss.Disk.Write(batch.all()) }); err != nil {
		ss.torn = true
		return false, nil //nolint:nilerr // the context has ended
	}
	for _, c := range cuts {
		c.committed()
	}
	return true, nil
}

// insist does something on the disk again until the disk takes it. Meanwhile
// the state store refuses commands. The error is the context's, or the disk's
// if the context has ended.
func (ss *StateStore) insist(ctx context.Context, do func() error) error {
	for try := 0; ; try++ {
		err := do()
		if err == nil {
			if ss.refusal.Swap(nil) != nil {
				ss.logger.Info("the disk takes the state store again")
			}
			return nil
		}
		err = fmt.Errorf("can't write the state store to disk: %w", err)
		if ss.refusal.Swap(&err) == nil {
			ss.logger.Error("refusing commands until there is room", "error", err)
		}
		if ctx.Err() != nil || kafka.Backoff(ctx, try) != nil {
			return err
		}
	}
}

// Refusal says why the state store takes no more commands: the disk is full, or
// fails. The result is nil while the disk takes what has changed.
func (ss *StateStore) Refusal() error {
	if err := ss.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

// batch is changes of the disk, encoded.
type batch struct {
	changes []change
	bytes   []byte // room of keys and values
}

type change struct{ key, value []byte }

// maxBatchRoom bounds the room that is kept for the next batch, in bytes.
const maxBatchRoom = 4 << 20

// reset makes the batch empty, and keeps the room.
func (b *batch) reset() {
	clear(b.changes)
	b.changes, b.bytes = b.changes[:0], b.bytes[:0]
	if cap(b.bytes) > maxBatchRoom {
		*b = batch{}
	}
}

func (b *batch) all() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for _, c := range b.changes {
			if !yield(c.key, c.value) {
				return
			}
		}
	}
}

// put takes a key and a value that were appended to b.bytes: the key up to
// middle.
func (b *batch) put(from, middle int) {
	to := len(b.bytes)
	b.changes = append(b.changes, change{b.bytes[from:middle:middle], b.bytes[middle:to:to]})
}

func (b *batch) remove(key []byte) { b.changes = append(b.changes, change{key: key}) }

// add encodes a cut.
func (b *batch) add(c *cut) error {
	for i := range c.streams {
		if err := b.addStream(c.processor, &c.streams[i]); err != nil {
			return err
		}
	}
	b.addIgnored(c.processor.partition, c.ignored)
	meta, err := json.Marshal(c.meta)
	if err != nil {
		return fmt.Errorf("encode the state store's offsets: %w", err)
	}
	b.changes = append(b.changes, change{keys.Prefix(nil, c.processor.partition, keys.Meta), meta})
	return nil
}

func (b *batch) addStream(p *processor, f *frozenStream) (err error) {
	name, s, is := f.cached.name, f.stream, f.stream.onDisk()
	from := len(b.bytes)
	b.bytes = keys.OfStream(b.bytes, p.partition, keys.Stream, name)
	middle := len(b.bytes)
	if b.bytes, err = appendStream(b.bytes, p.registry, name, s); err != nil {
		return err
	}
	b.put(from, middle)

	for i, block := range s.outcomes.blocks {
		if !block.written {
			from := len(b.bytes)
			b.bytes = keys.Numbered(b.bytes, p.partition, keys.Outcomes, name, is.firstBlock+uint64(i))
			middle := len(b.bytes)
			b.bytes = appendBlock(b.bytes, block.outcomes)
			b.put(from, middle)
		}
	}
	for n := f.was.firstBlock; n < is.firstBlock; n++ {
		b.remove(keys.Numbered(nil, p.partition, keys.Outcomes, name, n))
	}
	if s.earlierChanged {
		b.changes = append(b.changes, change{keys.OfStream(nil, p.partition, keys.Earlier, name), appendEarlier(nil, s.decidedBefore())})
	}
	b.addDeferred(p, f, is)
	b.addSchedule(p, f)
	return nil
}

// addDeferred encodes the deferred commands that are not on disk.
func (b *batch) addDeferred(p *processor, f *frozenStream, is onDisk) {
	name := f.cached.name
	for n := f.was.deferredFrom; n < min(f.was.deferredTo, is.deferredFrom); n++ {
		b.remove(keys.Numbered(nil, p.partition, keys.Deferred, name, n))
	}
	if q := f.stream.deferred; q != nil {
		put := func(n uint64, d *deferredCommand) {
			if n >= f.was.deferredTo || n == is.deferredFrom && q.firstChanged {
				b.changes = append(b.changes, change{keys.Numbered(nil, p.partition, keys.Deferred, name, n), encodeDeferred(d)})
			}
		}
		put(is.deferredFrom, &q.first)
		for n := max(is.deferredFrom+1, f.was.deferredTo); n < is.deferredTo; n++ {
			put(n, &q.own[n-is.deferredFrom-1])
		}
	}
	if is.waiting != f.was.waiting {
		key := keys.OfStream(nil, p.partition, keys.Waiting, name)
		if is.waiting == noneWaits {
			b.remove(key)
		} else {
			b.changes = append(b.changes, change{key, []byte{byte(is.waiting)}})
		}
	}
}
