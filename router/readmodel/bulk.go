package readmodel

import (
	"hash/maphash"
	"log/slog"
	"maps"
	"slices"

	"github.com/millrace/millrace/router/projection"
)

const (
	// bulkMaxKnown is how many streams, and rows of a table, a bulk knows at most
	// when it is through with some records: some 100 MB of small rows and their heads.
	bulkMaxKnown = 100_000
	// bulkMaxChanged is how many of them it changes before it writes them: other
	// writers wait for as long as that takes, which is a good half second in
	// SQLite.
	bulkMaxChanged = 50_000
)

// bulk folds many batches into a generation that nobody else writes to. What
// has changed it keeps, and writes it once for many batches. What it has looked
// up or written it keeps, too. If the generation was empty when it began, it
// doesn't look up either what it has never written.
type bulk struct {
	*fold
	maxKnown, maxChanged int
}

// newBulk begins at these checkpoints, which are those of all partitions.
func newBulk(p *projection.Projection, log *slog.Logger, at []Checkpoint) *bulk {
	b := &bulk{fold: newFold(p, log), maxKnown: bulkMaxKnown, maxChanged: bulkMaxChanged}
	if !slices.ContainsFunc(at, func(c Checkpoint) bool { return c.Next > 0 }) {
		b.written = newWritten()
		for _, t := range b.rows.tables {
			t.written = newWritten()
		}
	}
	return b
}

// full says whether it is time to flush: early, if a partition is folded to its
// end. Its streams don't come again, and those of the next one aren't there yet.
func (b *bulk) full(ended bool) bool {
	most := b.maxChanged
	if ended {
		most /= 2
	}
	return b.knowsMuch() || len(b.changed) > most ||
		slices.ContainsFunc(b.rows.tables, func(t *tableRows) bool { return len(t.changed) > most })
}

func (b *bulk) knowsMuch() bool {
	return len(b.streams) > b.maxKnown ||
		slices.ContainsFunc(b.rows.tables, func(t *tableRows) bool { return len(t.rows) > b.maxKnown })
}

// take returns what has changed. Who takes it sees to it that it is written
// before anything is looked up.
func (b *bulk) take() changes {
	c := b.changes()
	b.flushed()
	return c
}

// flushed is that of a fold. It lets go of what wasn't asked for since the last
// time, if it knows too much, or of all if that isn't enough; but not of what
// was ever written.
func (b *bulk) flushed() {
	b.fold.flushed()
	for _, all := range []bool{false, true} {
		if b.knowsMuch() {
			b.forget(all)
		}
	}
	b.rows.period++
}

func (b *bulk) forget(all bool) {
	now := b.rows.period
	maps.DeleteFunc(b.streams, func(_ string, s *stream) bool { return all || s.used < now })
	for _, t := range b.rows.tables {
		maps.DeleteFunc(t.rows, func(_ string, r *workRow) bool { return all || r.used < now })
	}
}

// written is a Bloom filter of the names that were ever written: of one that
// it hasn't, there is nothing in the store. A nil one has all names.
type written struct {
	seed maphash.Seed
	bits []uint64
}

// writtenBits make 4 MiB. Of 1,000,000 names written, 2 in 10,000 others are
// looked up in vain; of 10,000,000, one in four.
const writtenBits = 1 << 25

// writtenHashes is how many bits a name sets.
const writtenHashes = 4

func newWritten() *written {
	return &written{seed: maphash.MakeSeed(), bits: make([]uint64, writtenBits/64)}
}

// at returns the places of a name's bits (Kirsch and Mitzenmacher, 2006: two
// hashes make any number of them).
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
