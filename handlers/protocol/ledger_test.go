package protocol

import "slices"

// stream is one user as a ledger knows it: the fold of the accepted records.
type stream struct {
	head         digest
	seq, version uint8

	exists     bool
	name       uint8
	unreadable bool // this binary can't follow the user any further

	// decided is, by topic, the offset of the last command that has an
	// outcome, and one more.
	decided  [2]uint8
	outcomes list[uint8] // the ids of the last commands that have an outcome, the newest at the end
	held     list[held]  // the parked command, and those after it
	parked   bool        // they wait for an operator
}

// held is a command that waits.
type held struct {
	command uint8
	dropped bool
}

// list is a short slice that is copied with what it is part of.
type list[T any] struct {
	items [5]T
	n     uint8
}

func (l *list[T]) all() []T { return l.items[:l.n] }

func (l *list[T]) add(item T) { l.items[l.n], l.n = item, l.n+1 }

func (l *list[T]) remove(i int) {
	copy(l.items[i:], l.items[i+1:])
	l.n--
	clear(l.items[l.n:])
}

// accepts is the gate.
func (m *model) accepts(s *stream, d digest) bool {
	r := &m.records[d]
	version := s.version
	if r.kind.event() {
		version++
	}
	return m.off(gate) ||
		(r.seq == s.seq+1 || m.off(gateSeq)) &&
			(r.prev == s.head || m.off(gatePrev)) &&
			(r.version == version || m.off(gateVersion))
}

// fold takes in a record that the gate accepts, as this binary reads it.
func (m *model) fold(s *stream, d digest, b *binary) {
	r := &m.records[d]
	s.head, s.seq, s.version = d, s.seq+1, r.version
	m.moveTo(s, m.topicOf(r.command), m.offsetOf(r.command)+1)
	unreadable := b.blind && r.kind.event() && r.name >= newNames
	if !unreadable || !m.off(headersOutcome) {
		m.remember(s, m.commands[r.command].id, b.remember)
	}
	switch {
	case unreadable:
		s.unreadable = true
		s.release(r.command)
	case r.kind.event():
		if !s.unreadable {
			s.exists, s.name = true, r.name
		}
		s.release(r.command)
	case r.kind == parked:
		s.parked = true
		s.hold(r.command)
	case r.kind == queued:
		s.hold(r.command)
	case r.kind == requeued:
		s.parked = false
	case r.kind == dropped:
		s.parked = false
		if s.held.n > 0 {
			s.held.items[0].dropped = true
		}
	default:
		s.release(r.command)
	}
}

// moveTo moves the last decided position, which never goes back.
func (m *model) moveTo(s *stream, topic, next uint8) {
	switch {
	case m.off(positionTopic):
		topic = 0
	case m.off(positionEachTopic) && s.decided[topic] < next:
		s.decided = [2]uint8{}
	}
	s.decided[topic] = max(s.decided[topic], next)
}

func (m *model) remember(s *stream, id, limit uint8) {
	if i := slices.Index(s.outcomes.all(), id); i >= 0 {
		s.outcomes.remove(i)
	}
	s.outcomes.add(id)
	if s.outcomes.n > limit {
		s.outcomes.remove(0)
	}
}

func (s *stream) indexHeld(c uint8) int {
	return slices.IndexFunc(s.held.all(), func(h held) bool { return h.command == c })
}

func (s *stream) holds(c uint8) bool { return s.indexHeld(c) >= 0 }

func (s *stream) hold(c uint8) {
	if !s.holds(c) {
		s.held.add(held{command: c})
	}
}

func (s *stream) release(c uint8) {
	if i := s.indexHeld(c); i >= 0 {
		s.held.remove(i)
	}
}

// resuming says whether held commands may go on.
func (s *stream) resuming() bool { return !s.parked && s.held.n > 0 }

// ended says whether a command has its outcome.
func (m *model) ended(s *stream, c uint8) bool {
	id := m.commands[c].id
	if slices.Contains(s.outcomes.all(), id) {
		return true
	}
	for _, h := range s.held.all() {
		if m.commands[h.command].id == id {
			return true
		}
	}
	topic := m.topicOf(c)
	if m.off(positionTopic) {
		topic = 0
	}
	return !m.off(position) && m.offsetOf(c) < s.decided[topic]
}

// newNames is where the names begin that the new binary writes.
const newNames = 100

// outcome is how a command ends, or is held, that comes to this stream. It is
// pure.
func (m *model) outcome(s *stream, c uint8, b *binary) (k kind, name uint8) {
	asked := &m.commands[c]
	switch {
	case asked.verb == requeue && s.parked:
		return requeued, 0
	case asked.verb == drop && s.parked && m.commands[s.held.items[0].command].id == asked.drops:
		return dropped, 0
	case asked.operators():
		return refused, 0
	case s.parked, s.held.n > 0 && !m.off(queueWhileHeld):
		return queued, 0
	default:
		return m.decision(s, c, b)
	}
}

// resumed is how the first held command ends, or is held again.
func (m *model) resumed(s *stream, h held, b *binary) (k kind, name uint8) {
	if h.dropped {
		return refused, 0
	}
	return m.decision(s, h.command, b)
}

// decision is the domain's.
func (m *model) decision(s *stream, c uint8, b *binary) (k kind, name uint8) {
	asked := &m.commands[c]
	name = asked.name
	if b.new {
		name += newNames
	}
	switch {
	case s.unreadable:
		return parked, 0
	case asked.expects > 0 && s.version != asked.expects-1:
		return mismatched, 0
	case asked.verb == touchy && !b.new:
		return parked, 0
	case asked.verb == create && s.exists, asked.verb == rename && !s.exists:
		return refused, 0
	case !s.exists:
		return created, name
	case name == s.name:
		return unchanged, 0
	default:
		return renamed, name
	}
}
