package eventlog

// Head is where a stream stands: its last accepted record. The zero value is
// a stream without any.
type Head struct {
	// Seq counts the stream's accepted records; the first has 1.
	Seq uint64
	// Version counts the stream's events: it is what users see.
	Version uint64
	// Digest is the last accepted record's.
	Digest Digest
}

// Accept is the gate, the same for every fold on both sides: a record counts
// only if it takes its stream's next slot (ce_seq), names the digest of the
// record before it (ce_prev), and counts the version on by one if it is an
// event. The first such record in log order wins; all others are ignored, for
// ever, by everyone. So writers that race, stall, or come back from the dead
// can neither fork a stream nor rewrite it.
//
// It reads headers alone. A record whose body this binary can't read keeps
// its slot.
func (h Head) Accept(r *Record) (Head, bool) {
	if r.Malformed != nil || r.Seq != h.Seq+1 || r.Prev != h.Digest || r.Version != h.next(r.Type) {
		return h, false
	}
	return Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}, true
}

// next is the version after a record of this type.
func (h Head) next(recordType string) uint64 {
	if IsEvent(recordType) {
		return h.Version + 1
	}
	return h.Version
}
