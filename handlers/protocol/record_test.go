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

// archive knows all records by their digests.
type archive struct {
	records []record
	digests map[record]digest
}

func newArchive() archive {
	return archive{records: make([]record, 1), digests: map[record]digest{}}
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
