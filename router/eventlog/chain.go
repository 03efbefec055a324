package eventlog

// Head is the end of a stream: the last accepted record. The zero value is the
// head of a stream without records.
type Head struct {
	// Seq is the number of accepted records; the first record has 1.
	Seq uint64
	// Version is the number of events. Clients see the version.
	Version uint64
	// Digest is the digest of the last accepted record.
	Digest Digest
}

// Accept is the gate, the same in every fold on both sides. A record counts
// only if
//
//   - its sequence number (ce_seq) is the stream's next,
//   - ce_prev is the digest of the stream's last record,
//   - ce_version is one more for an event, and unchanged for other outcomes.
//
// The first such record in log order wins. Every fold ignores all other
// records, for ever. So writers that race, stall, or come back from the dead
// can neither fork a stream nor rewrite its past.
//
// Accept reads headers alone. A record with an unreadable body keeps its
// sequence number.
func (h Head) Accept(r *Record) (Head, bool) {
	if r.Malformed != nil || r.Seq != h.Seq+1 || r.Prev != h.Digest || r.Version != h.next(r.Type) {
		return h, false
	}
	return Head{Seq: r.Seq, Version: r.Version, Digest: r.Digest}, true
}

// next returns the stream's version after a record of this type.
func (h Head) next(recordType string) uint64 {
	if IsEvent(recordType) {
		return h.Version + 1
	}
	return h.Version
}
