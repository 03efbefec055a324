package readmodel

import (
	"hash/maphash"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/router/projection"
	"github.com/millrace/millrace/router/readmodel/sortedrows"
)

const (
	// bulkMaxKnown limits the memory of a bulk: the streams, and the rows of a
	// table, that stay known after a flush. 100,000 small rows and heads take
	// about 100 MB.
	bulkMaxKnown = 100_000
	// bulkMaxChanged is the number of changed streams, or rows of a table, at
	// which a bulk writes. Other writers wait during the write: more than half
	// a second in SQLite.
	bulkMaxChanged = 50_000
	// bulkMaxBytes is the size of the changed rows of a table, if nobody looks
	// at the rows, at which a bulk writes. Each write goes through the pages of
	// the whole table, so few large writes cost less. Other writers wait for about
	// a second in SQLite.
	bulkMaxBytes = 48 << 20
	// besideMaxBytes is bulkMaxBytes beside a live generation: some 50,000 rows.
	besideMaxBytes = 16 << 20
)

// bulk folds many batches into a generation without other writers. A bulk keeps
// changed rows and heads, and writes many batches at once. A bulk also keeps
// rows and heads after the lookup or the write. In a generation that began
// empty, a bulk never looks up names that were never written.
type bulk struct {
	*fold
	maxKnown, maxChanged, maxBytes int
	wrote                          bool
	oneByOne                       bool // partitions are read one after the other
	ended                          bool // the last call of full was at the end of a partition
}

// newBulk starts a bulk at the checkpoints of all partitions.
func newBulk(p *projection.Projection, log *slog.Logger, at []Checkpoint) *bulk {
	b := &bulk{fold: newFold(p, log), maxKnown: bulkMaxKnown, maxChanged: bulkMaxChanged, maxBytes: bulkMaxBytes}
	if !slices.ContainsFunc(at, func(c Checkpoint) bool { return c.Next > 0 }) {
		b.written = newWritten()
		for _, t := range b.rows.tables {
			if p.Keys != nil { // otherwise no row is looked up
				t.written = newWritten()
			}
		}
	}
	if p.Keys == nil { // no row is known
		b.maxKnown, b.maxChanged = 2*bulkMaxKnown, 2*bulkMaxChanged
		for _, t := range b.rows.tables {
			t.sorted = sortedrows.New(t.Table)
		}
	}
	return b
}

// besideLive makes transactions smaller, because the updates of a live generation
// wait meanwhile.
func (b *bulk) besideLive() {
	b.maxChanged, b.maxBytes = bulkMaxChanged, besideMaxBytes
}

// full says whether to flush now. A bulk flushes early at the end of a
// partition: the partition's streams don't come again, and the next partition's
// streams are not in memory yet. If partitions are read one after the other, the
// first flush is earlier: until then the store has nothing to do.
func (b *bulk) full(ended bool) bool {
	b.ended = ended
	most, bytes := b.maxChanged, b.maxBytes
	if ended {
		most, bytes = most/2, bytes/2
		if b.oneByOne && !b.wrote {
			most, bytes = most/4, bytes/4
		}
	}
	return b.knowsMuch() || len(b.changed) > most || slices.ContainsFunc(b.rows.tables, func(t *tableRows) bool {
		return len(t.changed) > most || t.sorted != nil && t.sorted.Size() > bytes
	})
}

func (b *bulk) knowsMuch() bool { return b.knowsMore(b.maxKnown) }

// take returns the changes. The caller must write the changes before the next
// lookup.
func (b *bulk) take() changes {
	c := b.changes(changes{})
	b.flushed()
	return c
}

// flushed is fold.flushed for a bulk. If partitions are read one after the
// other, flushed forgets the streams of partitions that have ended, and rows
// without a use since the last flush. If too much is known, flushed forgets rows
// and heads without a use since the last flush, and then all others. The filters
// of written names stay.
func (b *bulk) flushed() {
	b.fold.flushed()
	b.wrote = true
	if b.oneByOne && b.ended {
		b.forget(false)
		clear(b.streams)
	}
	for _, all := range []bool{false, true} {
		if b.knowsMuch() {
			b.forget(all)
		}
	}
	b.rows.period++
}

// written is a Bloom filter of all names that were ever written. A name outside
// the filter is not in the store. A nil filter contains every name.
type written struct {
	seed maphash.Seed
	bits []uint64
}

// writtenBits make 4 MiB. After 1,000,000 written names, 2 of 10,000 other
// names are looked up for nothing; after 10,000,000, a quarter.
const writtenBits = 1 << 25

// writtenHashes is the number of bits for a name.
const writtenHashes = 4

func newWritten() *written {
	return &written{seed: maphash.MakeSeed(), bits: make([]uint64, writtenBits/64)}
}

// at returns the bits of a name. Two hashes make any number of hashes (Kirsch
// and Mitzenmacher, "Less Hashing, Same Performance", 2006).
func (w *written) at(name string) (bits [writtenHashes]uint64) {
	hash := maphash.String(w.seed, name)
	step := hash>>32 | 1
	for i := range bits {
		bits[i] = hash % writtenBits
		hash += step
	}
	return bits
}

func (w *written) add(name string) {
	if w == nil {
		return
	}
	for _, bit := range w.at(name) {
		w.bits[bit/64] |= 1 << (bit % 64)
	}
}

func (w *written) has(name string) bool {
	if w == nil {
		return true
	}
	for _, bit := range w.at(name) {
		if w.bits[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}
