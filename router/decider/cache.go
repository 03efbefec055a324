package decider

import (
	"container/list"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/decider/keys"
)

// cachedStream is a stream in memory, decoded. The processor's lock guards all
// fields.
//
// A stream leaves memory only while nobody uses the stream and all of it is on
// disk: it is not pinned, unchanged since the last batch, and in no batch.
type cachedStream struct {
	name string
	// stream is nil if the log has no record of the stream, and while the stream
	// is not loaded.
	stream *stream
	// pins counts who uses the stream: takes, folds, look-ups, waiters, and a
	// speculation.
	pins int
	// changed says that the stream has changed since the last batch, and writing
	// that a batch with the stream is under way.
	changed, writing bool
	// frozen says that a batch shares the stream: the next change makes a copy.
	frozen bool
	loaded bool
	// loading is closed once the stream has been read from disk, nil while nobody
	// reads the stream.
	loading chan struct{}
	disk    onDisk
	state   int // bytes of the encoded state
	size    int // bytes, as far as the cache knows

	unused *list.Element // in processor.unused, nil for a stream that is used

	followers []*follower // each pins the stream
}

// want is a stream that somebody needs in memory, and with the stream the
// outcome of a command, "" for none.
type want struct {
	cached    *cachedStream
	commandID string
}

// cache is the streams of a partition that are in memory. Without a disk, all
// streams stay in memory.
type cache struct {
	disk    Disk // nil for none
	opened  bool // the disk fits the log
	shared  *sharedMemory
	budget  int // bytes: the partition's part of the shared memory
	streams map[string]*cachedStream
	unused  *list.List // streams that may leave memory, the last used first
	changed []*cachedStream
	writing []frozenStream // the batch under way
	// wakeAt is the number of changed streams that make a batch due, due asks for
	// the batch, and room, if not nil, is closed after the batch.
	wakeAt int
	due    chan<- struct{}
	room   chan struct{}
	stood  func(time.Duration) // told how long the partition stood still, or nil
	size   int                 // bytes of all streams in memory
	waits  int                 // bytes of the streams that wait for a batch, or are in a batch
	hits   int64
	misses int64
}

// sharedMemory is the memory of all partitions of a state store. A partition may
// have more than its part while others have less.
type sharedMemory struct {
	budget int64        // bytes
	used   atomic.Int64 // bytes of all streams in memory
}

func newCache() cache {
	return cache{streams: map[string]*cachedStream{}, unused: list.New(), shared: new(sharedMemory)}
}

// stream is a stream in memory, nil for a stream without records.
func (p *processor) stream(name string) *stream {
	if c := p.streams[name]; c != nil {
		return c.stream
	}
	return nil
}

// notOnDisk are the streams in memory that may differ from the disk.
func (p *processor) notOnDisk() iter.Seq[*cachedStream] {
	if p.disk == nil {
		return maps.Values(p.streams)
	}
	return func(yield func(*cachedStream) bool) {
		for _, c := range p.changed {
			if !yield(c) {
				return
			}
		}
		for _, f := range p.writing {
			if !yield(f.cached) {
				return
			}
		}
	}
}

// pin keeps a stream in memory. The stream may have to be loaded: see require.
func (p *processor) pin(name string) *cachedStream {
	c := p.streams[name]
	if c == nil {
		c = &cachedStream{name: name, loaded: p.disk == nil}
		p.streams[name] = c
		p.resize(c)
	}
	if c.unused != nil {
		p.unused.Remove(c.unused)
		c.unused = nil
	}
	c.pins++
	return c
}

// unpin lets a stream leave memory, unless somebody else needs it there.
func (p *processor) unpin(c *cachedStream) {
	c.pins--
	p.settle(c)
}

// settle makes a stream that nobody uses ready to leave memory.
func (p *processor) settle(c *cachedStream) {
	switch {
	case c.pins > 0 || c.changed || c.writing || c.unused != nil:
		return
	case c.stream == nil:
		p.evict(c)
		return
	case p.disk == nil:
		return
	}
	c.stream.outcomes.drop()
	p.resize(c)
	c.unused = p.unused.PushFront(c)
	p.makeRoom()
}

// makeRoom lets streams leave memory, while there is too little of it.
func (p *processor) makeRoom() {
	for p.size > p.budget && p.shared.used.Load() > p.shared.budget && p.unused.Len() > 0 {
		p.evict(p.unused.Back().Value.(*cachedStream)) //nolint:errcheck // unused has no others
	}
}

func (p *processor) evict(c *cachedStream) {
	if c.unused != nil {
		p.unused.Remove(c.unused)
		c.unused = nil
	}
	delete(p.streams, c.name)
	p.grow(-c.size)
}

func (p *processor) grow(bytes int) {
	p.size += bytes
	p.shared.used.Add(int64(bytes))
}

// hold pins a stream, and takes the lock with the stream and the outcome of a
// command in memory. The caller unpins the stream and releases the lock. After
// an error the caller has neither the stream nor the lock.
func (p *processor) hold(name, commandID string) (*cachedStream, error) {
	p.mu.Lock()
	c := p.pin(name)
	if err := p.require([]want{{c, commandID}}); err != nil {
		p.unpin(c)
		p.mu.Unlock()
		return nil, err
	}
	return c, nil
}

// letGo ends a hold.
func (p *processor) letGo(c *cachedStream) {
	p.unpin(c)
	p.mu.Unlock()
}

// require loads what is missing of pinned streams. The lock is held, but not
// while the disk is read: on return all is in memory at the same time. One reads a
// stream, and the others wait: a stream may be large.
func (p *processor) require(wants []want) error {
	if p.disk == nil || !p.opened {
		return nil
	}
	missed := false
	for {
		var reads []read
		var others []<-chan struct{}
		for _, w := range wants {
			if c := w.cached; c.loading != nil {
				others = append(others, c.loading)
			} else if !c.loaded {
				c.loading = make(chan struct{})
				reads = append(reads, read{cached: c})
			} else if s := c.stream; s != nil && w.commandID != "" {
				if _, _, missing := s.outcomes.find(w.commandID); missing != nil {
					reads = append(reads, read{cached: c, block: missing})
				}
			}
		}
		if len(reads) == 0 && len(others) == 0 {
			if !missed {
				p.hits++
			}
			return nil
		}
		missed = true
		reads = slices.CompactFunc(reads, func(a, b read) bool { return a.same(b) })
		p.misses += int64(len(reads))
		p.mu.Unlock()
		p.readAll(reads)
		p.mu.Lock()
		var failed error
		for i := range reads { // all, because others wait
			if err := p.install(&reads[i]); failed == nil {
				failed = err
			}
		}
		if failed != nil {
			return failed
		}
		if len(others) > 0 {
			p.mu.Unlock()
			for _, loaded := range others {
				<-loaded
			}
			p.mu.Lock()
		}
	}
}

// awaitRoom waits while too many changes wait for a batch. The error is the
// context's.
func (p *processor) awaitRoom(ctx context.Context) error {
	for {
		p.mu.Lock()
		if p.disk == nil || p.waits <= p.budget/2 && len(p.changed) < maxChanged && len(p.notes.unwritten) < maxIgnored {
			p.mu.Unlock()
			return nil
		}
		if p.room == nil {
			p.room = make(chan struct{})
		}
		room := p.room
		p.mu.Unlock()
		p.wake()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wake asks for a batch at once.
func (p *processor) wake() {
	select {
	case p.due <- struct{}{}:
	default:
	}
}

// resize counts a stream's bytes again.
func (p *processor) resize(c *cachedStream) {
	size := c.bytes()
	p.grow(size - c.size)
	if c.changed || c.writing {
		p.waits += size - c.size
	}
	c.size = size
}

// The sizes are estimates of what the runtime allocates.
const (
	cachedBytes  = 400 // a cachedStream with its places in map and list, and a stream
	outcomeBytes = 200
	blockBytes   = 120
)

func (c *cachedStream) bytes() int {
	size := cachedBytes + 2*len(c.name)
	if s := c.stream; s != nil {
		r := &s.outcomes
		size += 3*c.state + outcomeBytes*(len(r.newest)+r.loaded*blockSize) + blockBytes*len(r.blocks) + s.deferred.size() + s.fences.Size() + s.schedule.size()
	}
	return size
}

// read is one look at the disk: for a whole stream, or for a block of outcomes.
type read struct {
	cached *cachedStream
	block  *uint64 // nil for the stream

	stream   *stream // as read, nil for a stream without records
	state    int
	disk     onDisk
	outcomes []Outcome // as read, nil if the block is not there
	others   []uint64  // then the blocks that a scan finds
	err      error
}

func (r read) same(as read) bool {
	return r.cached == as.cached && (r.block == nil) == (as.block == nil) && (r.block == nil || *r.block == *as.block)
}

// readAll reads from disk. The lock is not held.
func (p *processor) readAll(reads []read) {
	for i := range reads {
		if r := &reads[i]; r.block != nil {
			if r.outcomes, r.err = p.readOutcomes(r.cached.name, *r.block); r.outcomes == nil && r.err == nil {
				r.others, r.err = p.blocksOnDisk(r.cached.name)
			}
		} else {
			r.err = p.readWhole(r)
		}
	}
}

// readWhole reads a stream. While the stream is not loaded, nobody changes the
// stream, so all its keys fit each other.
func (p *processor) readWhole(r *read) error {
	name := r.cached.name
	data, err := p.disk.Get(keys.OfStream(nil, p.partition, keys.Stream, name))
	if err != nil || data == nil {
		return err
	}
	h, err := readStream(data, p.registry, name, p.partition)
	if err != nil {
		return err
	}
	s := h.stream
	if h.earlier {
		if data, err = p.disk.Get(keys.OfStream(nil, p.partition, keys.Earlier, name)); err != nil {
			return err
		}
		earlier, err := readEarlier(data)
		if err != nil {
			return err
		}
		s.setDecidedBefore(earlier)
	}
	if h.deferred > 0 {
		if err := p.readQueue(name, s, h.deferred); err != nil {
			return err
		}
	}
	if s.schedule, err = p.readSchedule(name, h.scheduled); err != nil {
		return err
	}
	if err := p.readPrints(name, &s.outcomes); err != nil {
		return err
	}
	r.stream, r.state, r.disk = s, h.state, s.onDisk()
	return nil
}

// install puts into memory what was read. If somebody else was first to read a
// block, then what was read, and the error, may be of a stream that has changed
// since. The lock is held again. As long as nobody was first, nobody has changed
// the stream on disk, because the stream was pinned.
func (p *processor) install(r *read) error {
	c := r.cached
	if r.block == nil {
		close(c.loading)
		c.loading = nil
	}
	switch {
	case r.block != nil && !c.stream.outcomes.lacks(*r.block):
		return nil
	case r.err != nil:
		return fmt.Errorf("read stream %q from the state store's disk: %w", c.name, r.err)
	case r.block == nil:
		c.loaded, c.stream, c.state, c.disk = true, r.stream, r.state, r.disk
	case r.outcomes == nil:
		o := &c.stream.outcomes // the numbers say whether a batch could have removed the block, or the disk doesn't find the block
		return fmt.Errorf("%w: block %d of outcomes of stream %q is not there; the stream has outcomes %d to %d, and on disk blocks from %d on (changed %t, writing %t); a scan finds blocks %d",
			errValue, *r.block, c.name, o.from, o.to, c.disk.firstBlock, c.changed, c.writing, r.others)
	default:
		c.stream.outcomes.restore(*r.block, r.outcomes)
	}
	p.resize(c)
	return nil
}
