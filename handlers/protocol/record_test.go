package protocol

import "fmt"

// kind is what a record says of its command.
type kind uint8

const (
	created kind = iota + 1
	renamed
	unchanged
	refused
	mismatched // refused for its expectedVersion
	parked
	queued
	requeued
	dropped
)

var kindNames = [...]string{"", "created", "renamed", "unchanged", "refused", "412", "parked", "queued", "requeued", "dropped"}

func (k kind) event() bool { return k == created || k == renamed }

// holds says that the command waits: this is not how it ends.
func (k kind) holds() bool { return k == parked || k == queued }

// record is one entry of the log, topic events. It carries its command's
// place in topic commands.
type record struct {
	user, command uint8
	kind          kind
	name          uint8 // of the user, in an event
	seq           uint8
	prev          digest
	version       uint8
	salt          uint8 // what an impure decision puts in
}

// digest stands for a record's digest: equal records have the same one, and
// it covers the digest of the record before. 0 is that of none.
type digest uint16

// archive knows all records by their digests, and all logs.
type archive struct {
	records []record
	digests map[record]digest
	entries []entry
	logs    map[[2]uint16]log // by the log before, and the record
}

func newArchive() archive {
	return archive{
		records: make([]record, 1), digests: map[record]digest{},
		entries: make([]entry, 1), logs: map[[2]uint16]log{},
	}
}

func (a *archive) digest(r record) digest {
	d, ok := a.digests[r]
	if !ok {
		d = digest(len(a.records))
		a.digests[r] = d
		a.records = append(a.records, r)
	}
	return d
}

func (a *archive) describe(d digest) string {
	if d == 0 {
		return "none"
	}
	r := a.records[d]
	text := fmt.Sprintf("r%d(#%d %s", d, r.command, kindNames[r.kind])
	if r.kind.event() {
		text += fmt.Sprintf(" n%d v%d", r.name, r.version)
	}
	return text + fmt.Sprintf(", user %d slot %d after r%d)", r.user, r.seq, r.prev)
}

// log is a state of topic events: its last record, and the log before that.
// Only accepted records are in it: the others are ignored by every fold, for
// ever. 0 is the empty log.
type log uint16

// entry is what is known of a log.
type entry struct {
	before  log
	record  digest
	length  uint8
	streams [2][users]stream // its fold, as each of the two binaries reads it
}
