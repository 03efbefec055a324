package protocol

import (
	"fmt"
	"iter"
	"math"
)

// kind is the kind of a record.
type kind uint8

const (
	created kind = iota + 1
	renamed
	unchanged
	refused
	mismatched // refused because of expectedVersion
	parked
	queued
	requeued
	dropped
	scheduled
	cancelled
	claiming
	answered
	kinds
)

func (k kind) String() string {
	return [...]string{"", "created", "renamed", "unchanged", "refused", "mismatched", "parked", "queued", "requeued", "dropped", "scheduled", "cancelled",
		"claiming", "answered"}[k]
}

func (k kind) event() bool { return k == created || k == renamed }

// defers reports whether the command waits: the record is not the end of the
// command.
func (k kind) defers() bool { return k == parked || k == queued || k == claiming }

// record is a record of topic events: the outcome of one command.
type record struct {
	user, command uint8
	kind          kind
	name          uint8 // in an event; in other records the reason
	seq           uint8
	prev          digest
	version       uint8
	salt          uint8 // of an impure decision
	time          uint8
}

// digest is a record's digest. Equal records have equal digests, and because
// the digest covers prev, equal histories too. 0 stands before the first
// record.
type digest uint16

// log is a state of topic events, with only the records that the gate has
// accepted: every fold ignores all other records, for ever. 0 is the empty log.
type log uint16

// entry is the last record of a log, the log before, and the log's fold, by
// each of the two binaries.
type entry struct {
	before  log
	record  digest
	streams [2][users]stream
}

// archive has all records and logs of a search, so a world has only their
// numbers.
type archive struct {
	records []record
	digests map[record]digest
	entries []entry
	logs    map[entryKey]log
}

type entryKey struct {
	before log
	record digest
}

func newArchive() archive {
	return archive{
		records: make([]record, 1), digests: map[record]digest{},
		entries: make([]entry, 1), logs: map[entryKey]log{},
	}
}

func (a *archive) digest(r record) digest {
	d, known := a.digests[r]
	if !known {
		d = digest(fits(len(a.records)))
		a.digests[r] = d
		a.records = append(a.records, r)
	}
	return d
}

// fits panics before the numbers of records or logs overflow. A search has some
// dozens.
func fits(n int) uint16 {
	if n > math.MaxUint16 {
		panic("more records than digests")
	}
	return uint16(n)
}

// append returns a log with one more record.
func (m *model) append(to log, d digest) log {
	key := entryKey{to, d}
	l, known := m.logs[key]
	if !known {
		l = log(fits(len(m.entries)))
		m.logs[key] = l
		e := entry{to, d, m.entries[to].streams}
		for i := range e.streams {
			m.fold(&e.streams[i][m.records[d].user], d, &m.Handlers[i])
		}
		m.entries = append(m.entries, e)
	}
	return l
}

// after returns the log behind short on the way to long.
func (a *archive) after(short, long log) log {
	for a.entries[long].before != short {
		long = a.entries[long].before
	}
	return long
}

// backwards yields a log's records, from the last to the first.
func (a *archive) backwards(l log) iter.Seq[digest] {
	return func(yield func(digest) bool) {
		for ; l != 0; l = a.entries[l].before {
			if !yield(a.entries[l].record) {
				return
			}
		}
	}
}

func (a *archive) contains(l log, d digest) bool {
	for old := range a.backwards(l) {
		if old == d {
			return true
		}
	}
	return false
}

func (a *archive) describe(d digest) string {
	r := a.records[d]
	text := fmt.Sprintf("r%d (#%d %s", d, r.command, r.kind)
	if r.kind.event() {
		text += fmt.Sprintf(" as %s, version %d", nameText(r.name), r.version)
	}
	return text + fmt.Sprintf("; user %d, number %d after r%d)", r.user, r.seq, r.prev)
}

func nameText(name uint8) string {
	if name >= newNames {
		return fmt.Sprintf("n%d'", name-newNames)
	}
	return fmt.Sprintf("n%d", name)
}
