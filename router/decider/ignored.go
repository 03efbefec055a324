package decider

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/router/decider/keys"
	"github.com/millrace/millrace/router/eventlog"
)

// The fold notes the offset of each record that the gate ignores. A reader behind
// the fold asks the notes: the heads of now say nothing of older records, because
// the log may have two copies of a record with the same digest.

// maxIgnored bounds the notes of a partition that wait for a batch: the fold
// waits for the batch.
const maxIgnored = 1 << 16

// ignoredNotes are the notes of a partition that may not be on disk yet. Without a
// disk, all notes are in memory.
type ignoredNotes struct {
	unwritten []int64 // since the last batch, in the order of the log
	writing   []int64 // of the batch under way
	// end is the offset from which on there are no notes, on disk or in memory.
	end int64
}

// ignore notes a record that the gate ignores. A malformed record needs no note:
// every reader sees that the record is malformed.
func (p *processor) ignore(r *eventlog.Record) {
	p.ignored++
	if r.Malformed == nil {
		p.notes.unwritten, p.notes.end = append(p.notes.unwritten, r.Offset), r.Offset+1
	}
}

// cut hands the notes to a batch.
func (n *ignoredNotes) cut() []int64 {
	n.writing, n.unwritten = n.unwritten, nil
	return n.writing
}

// between appends the noted offsets of a stretch that may not be on disk.
func (n *ignoredNotes) between(to []int64, from, end int64) []int64 {
	for _, notes := range [][]int64{n.writing, n.unwritten} {
		first, _ := slices.BinarySearch(notes, from)
		last, _ := slices.BinarySearch(notes, end)
		to = append(to, notes[first:last]...)
	}
	return to
}

// addIgnored encodes the notes of a cut.
func (b *batch) addIgnored(partition int32, offsets []int64) {
	for _, offset := range offsets {
		b.changes = append(b.changes, change{keys.OfOffset(partition, keys.Ignored, offset), []byte{}})
	}
}

// ignoredBetween are the offsets of the records that the gate has ignored, from an
// offset on and before another, in order. The fold has passed all of the stretch.
func (p *processor) ignoredBetween(from, end int64) ([]int64, error) {
	p.mu.Lock()
	offsets := p.notes.between(nil, from, end) // before the disk: a note goes to the disk, and never back
	none := from >= p.notes.end
	p.mu.Unlock()
	if p.disk == nil || none {
		return offsets, nil
	}
	err := p.disk.Scan(keys.OfOffset(p.partition, keys.Ignored, from), keys.OfOffset(p.partition, keys.Ignored, end), func(key, _ []byte) error {
		offset, ok := keys.Offset(key)
		if !ok {
			return fmt.Errorf("%w: the key of an ignored record", errValue)
		}
		offsets = append(offsets, offset)
		return nil
	})
	slices.Sort(offsets)
	return slices.Compact(offsets), err
}

// Counting returns the records that count, of some records of one partition in
// the order of the log, and waits until the fold has passed the last of them.
// Counting is for readers that are behind the fold, however far. The records stay
// unchanged. The error is the context's, or says that the disk can't be trusted.
func (ss *StateStore) Counting(ctx context.Context, records []eventlog.Record) ([]eventlog.Record, error) {
	if len(records) == 0 {
		return nil, nil
	}
	first, last := &records[0], &records[len(records)-1]
	p := ss.processors[first.Partition]
	if !p.folded.Await(ctx, last.Offset+1) {
		return nil, ctx.Err()
	}
	offsets, err := p.ignoredBetween(first.Offset, last.Offset+1)
	if err != nil {
		p.broken(err)
		return nil, err
	}
	doesNotCount := func(r eventlog.Record) bool {
		_, noted := slices.BinarySearch(offsets, r.Offset)
		return noted || r.Malformed != nil
	}
	if !slices.ContainsFunc(records, doesNotCount) {
		return records, nil
	}
	return slices.DeleteFunc(slices.Clone(records), doesNotCount), nil
}

// LastEvent returns the offset of the last event of an aggregate that counts, in
// a partition up to the offset folded, or -1 for none. A reader of the aggregate's
// events that has this event has nothing more to read before folded.
func (ss *StateStore) LastEvent(partition int32, aggregate string) (last, folded int64) {
	p := ss.processors[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	last, ok := p.events[aggregate]
	if !ok {
		last = -1
	}
	return last, p.folded.Next()
}
