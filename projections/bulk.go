package projections

import (
	"context"
	"hash/maphash"
	"log/slog"
	"slices"
)

// bulkKeeps is how many streams, and rows of a table, a bulk keeps between two
// batches: some 100 MB of users and their heads.
const bulkKeeps = 100_000

// bulk folds many batches into a generation that nobody else writes to. What
// one batch has looked up or written the next ones know, as long as every one
// of them is committed. If the generation was empty when it began, it doesn't
// look up either what it has never written.
type bulk struct {
	*fold
	keeps     int
	uncertain bool // a commit isn't known to be done
}

// newBulk begins at these checkpoints, which are those of all partitions.
func newBulk(p *Projection, log *slog.Logger, at []Checkpoint) *bulk {
	b := &bulk{fold: newFold(p, log), keeps: bulkKeeps}
	if !slices.ContainsFunc(at, func(c Checkpoint) bool { return c.Next > 0 }) {
		b.written = newWritten()
		for _, t := range b.rows.tables {
			t.written = newWritten()
		}
	}
	return b
}

// commit is that of a fold. If done wasn't called since the one before, that
// one was rolled back, and what it knew with it.
func (b *bulk) commit(ctx context.Context, tx Tx, entries []entry) error {
	if b.uncertain {
		b.forget()
	}
	b.uncertain = true
	return b.fold.commit(ctx, tx, entries)
}

// done says that the transaction of the last commit was committed.
func (b *bulk) done() {
	b.uncertain = false
	full := len(b.streams) > b.keeps
	for _, t := range b.rows.tables {
		full = full || len(t.rows) > b.keeps
	}
	if full {
		b.forget()
	}
}

// forget lets go of all that is known, but for what was ever written.
func (b *bulk) forget() {
	clear(b.streams)
	b.changed = b.changed[:0]
	for _, t := range b.rows.tables {
		clear(t.rows)
		t.changed = t.changed[:0]
	}
	b.rows.keep()
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
func (w *written) at(name string) (places [writtenHashes]uint64) {
	hash := maphash.String(w.seed, name)
	step := hash>>32 | 1
	for i := range places {
		places[i] = hash % writtenBits
		hash += step
	}
	return places
}

func (w *written) add(name string) {
	if w == nil {
		return
	}
	for _, place := range w.at(name) {
		w.bits[place/64] |= 1 << (place % 64)
	}
}

func (w *written) has(name string) bool {
	if w == nil {
		return true
	}
	for _, place := range w.at(name) {
		if w.bits[place/64]&(1<<(place%64)) == 0 {
			return false
		}
	}
	return true
}
