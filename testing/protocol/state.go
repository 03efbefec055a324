package protocol

import (
	"slices"

	"github.com/millrace/millrace/testing/protocol/fence"
)

// stream is one user in a state store: the fold of the accepted records.
type stream struct {
	head         digest
	seq, version uint8

	exists     bool
	name       uint8
	unreadable bool // the user has an event that this binary doesn't know

	// decided is, for each topic commands, the offset behind the last command
	// that has an outcome.
	decided  [2]uint8
	outcomes list[uint8]           // ids of the last commands with an outcome, in the order of the first outcome
	deferred list[deferredCommand] // the parked command, and the commands behind
	parked   bool                  // the deferred commands wait for an operator

	asking bool // the first deferred command waits for the answer to a claim
	answer Verb // … and has the answer

	fence     fence.Fence            // of the one reaction
	scheduled list[scheduledCommand] // in the order of their scheduling
}

// deferredCommand is a command that waits.
type deferredCommand struct {
	command uint8
	dropped bool
}

// list is a short slice that is copied with its struct.
type list[T any] struct {
	items [maxCommands]T
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
	if m.off(gate) {
		return true
	}
	r := &m.records[d]
	version := s.version
	if r.kind.event() {
		version++
	}
	return (r.seq == s.seq+1 || m.off(gateSeq)) &&
		(r.prev == s.head || m.off(gatePrev)) &&
		(r.version == version || m.off(gateVersion))
}

// fold folds a record that the gate accepts, with this binary.
func (m *model) fold(s *stream, d digest, b *Binary) {
	r := &m.records[d]
	c := &m.Commands[r.command]
	s.head, s.seq, s.version = d, s.seq+1, r.version
	topic, offset := m.positionOf(r.command)
	m.moveTo(s, topic, offset+1)
	readable := !b.Blind || !r.kind.event() || r.name < newNames
	s.unreadable = s.unreadable || !readable
	switch r.kind {
	case parked:
		s.parked = true
		s.deferCommand(r.command)
	case queued:
		s.deferCommand(r.command)
	case requeued:
		s.parked = false
	case dropped:
		s.parked = false
		if s.deferred.n > 0 {
			s.deferred.items[0].dropped = true
		}
	case claiming:
		s.asking = true
		s.deferCommand(r.command)
	case answered:
		s.asking, s.answer = false, m.Commands[r.command].Verb
	case scheduled:
		s.scheduled.add(scheduledCommand{command: r.command})
	case cancelled:
		s.cancel(m.indexScheduledID(s, m.Commands[r.command].Cancels))
	default:
		if readable || !m.off(blindOutcome) {
			s.release(r.command)
		}
		if r.kind.event() && !s.unreadable {
			s.exists, s.name = true, r.name
		}
	}
	if r.kind != scheduled && s.unschedule(r.command) {
		s.outcomeLast(c.ID)
		if m.off(endKeeps) {
			m.forget(s, b.Remember)
		}
	}
	if c.Cause > 0 && (readable || !m.off(fenceBlind)) {
		s.fence.Fold(c.fence(), 0)
	}
	if (c.Cause == 0 || m.off(fenceApart)) && (readable || !m.off(blindOutcome)) {
		m.remember(s, c.ID, b.Remember)
	}
}

// moveTo moves the last decided position, which never goes back.
func (m *model) moveTo(s *stream, topic, next uint8) {
	switch {
	case m.off(positionTopic):
		topic = 0
	case m.off(positionEach) && s.decided[topic] < next:
		s.decided = [2]uint8{}
	}
	s.decided[topic] = max(s.decided[topic], next)
}

// remember notes that a command has an outcome. An outcome of a new command
// evicts the oldest outcome: commands that repeat the evicted id are at or
// below the last decided position by then. Nothing is evicted while commands
// are deferred, because their ids must be known.
func (m *model) remember(s *stream, id, limit uint8) {
	isNew := !slices.Contains(s.outcomes.all(), id)
	if isNew {
		s.outcomes.add(id)
	}
	switch {
	case !isNew && !m.off(forgetBehind):
	case s.deferred.n > 0 && !m.off(deferredOutcome), s.scheduled.n > 0 && m.off(scheduledAlone):
	default:
		m.forget(s, limit)
	}
}

func (s *stream) indexDeferred(command uint8) int {
	return slices.IndexFunc(s.deferred.all(), func(dc deferredCommand) bool { return dc.command == command })
}

func (s *stream) defers(command uint8) bool { return s.indexDeferred(command) >= 0 }

// deferCommand adds a command to the queue. A command that is parked again
// keeps its place.
func (s *stream) deferCommand(command uint8) {
	if !s.defers(command) {
		s.deferred.add(deferredCommand{command: command})
	}
}

func (s *stream) release(command uint8) {
	if i := s.indexDeferred(command); i >= 0 {
		s.deferred.remove(i)
		s.answer = 0
	}
}

// resuming reports whether deferred commands may go on, and this binary can end
// the first.
func (m *model) resuming(s *stream, b *Binary) bool {
	return !s.parked && !m.asks(s) && s.deferred.n > 0 && (m.ends(s, b) || m.off(waitForNewer))
}

// waiting reports whether the first deferred command waits for a newer binary.
func (m *model) waiting(s *stream, b *Binary) bool {
	return !s.parked && !m.asks(s) && s.deferred.n > 0 && !m.ends(s, b)
}

// ends reports whether this binary can end the first deferred command.
func (m *model) ends(s *stream, b *Binary) bool {
	first := s.deferred.items[0]
	return first.dropped || !m.beyond(s, first.command, b)
}

// beyond reports whether only a newer binary can decide a command: this binary
// doesn't know the command's type, or an event of the stream.
func (m *model) beyond(s *stream, command uint8, b *Binary) bool {
	return s.unreadable || m.unknown(command, b)
}

func (m *model) unknown(command uint8, b *Binary) bool {
	return m.Commands[command].Verb == Novel && !b.New
}

// resumes reports whether a deferred command is the next to go on.
func (m *model) resumes(s *stream, command uint8, b *Binary) bool {
	return m.resuming(s, b) && s.deferred.items[0].command == command
}

// positionOf is a command's position. Without fillers, offsets behind a cut are
// used again.
func (m *model) positionOf(command uint8) (topic, offset uint8) {
	topic, offset = m.PositionOf(command)
	if m.Cut && m.off(newOffsets) {
		offset = m.OffsetOf(command)
	}
	return topic, offset
}

// known reports whether a command, or an earlier command with the same id or of
// the same place, has an outcome.
func (m *model) known(s *stream, command uint8) bool {
	c := &m.Commands[command]
	if c.Cause > 0 && !m.off(fenced) && s.fence.Repeats(c.fence(), 0) {
		return true
	}
	return m.hasPosition(s, command) || c.Cause == 0 && slices.Contains(s.outcomes.all(), c.ID)
}

// hasPosition reports whether a command is at or below the last decided
// position.
func (m *model) hasPosition(s *stream, command uint8) bool {
	topic, offset := m.positionOf(command)
	if m.off(positionTopic) {
		topic = 0
	}
	return !m.off(position) && offset < s.decided[topic]
}

// outcome is the outcome of a command that comes to this stream.
func (m *model) outcome(s *stream, command uint8, b *Binary) (k kind, name uint8) {
	c := &m.Commands[command]
	switch {
	case c.Verb == Cancel && m.indexScheduledID(s, c.Cancels) >= 0:
		return cancelled, 0
	case c.Verb == Cancel:
		return refused, notScheduled
	case m.later(command):
		return scheduled, 0
	case c.Verb == Take, c.Verb == Deny:
		if m.answers(s, command) {
			return answered, 0
		}
		return refused, 0
	case c.Verb == Requeue && s.parked:
		return requeued, 0
	case c.Verb == Drop && (s.parked || m.waiting(s, b)) && m.Commands[s.deferred.items[0].command].ID == c.Drops:
		return dropped, 0
	case c.operators() && m.waiting(s, b):
		return refused, waits
	case c.operators():
		return refused, 0
	case s.parked, s.deferred.n > 0 && !m.off(queueBehind):
		return m.behindDeferred(command, b)
	default:
		return m.decision(s, command, b)
	}
}

// behindDeferred is the outcome of a command that queues behind deferred
// commands.
func (m *model) behindDeferred(command uint8, b *Binary) (k kind, name uint8) {
	if m.unknown(command, b) {
		return queued, unknownType
	}
	return queued, 0
}

// resumed is the outcome of a deferred command.
func (m *model) resumed(s *stream, command uint8, b *Binary) (k kind, name uint8) {
	if i := s.indexDeferred(command); i >= 0 && s.deferred.items[i].dropped {
		return refused, 0
	}
	return m.decision(s, command, b)
}

// The reasons in records that are not events.
const (
	waits        uint8 = iota + 1 // in a refusal of an operator's command: the queue waits for a newer binary
	unknownType                   // in queued
	unknownEvent                  // in queued
	notScheduled                  // in a refusal of a Cancel
	isCancelled                   // in a refusal of a scheduled command
)

// newNames is the first name of the new binary.
const newNames = 100

// decision is the aggregate's decision.
func (m *model) decision(s *stream, command uint8, b *Binary) (k kind, name uint8) {
	c := &m.Commands[command]
	name = c.Name
	if b.New {
		name += newNames
	}
	switch {
	case m.beyond(s, command, b) && m.off(queueUnknown):
		return parked, 0
	case m.unknown(command, b):
		return queued, unknownType
	case s.unreadable:
		return queued, unknownEvent
	case c.Expects > 0 && s.version != c.Expects-1 && !(m.off(dueExpects) && m.later(command)):
		return mismatched, 0
	case c.Verb == Touchy && !b.New:
		return parked, 0
	case c.Verb == Unique && s.answer == 0 && !m.off(claimWaits):
		return claiming, 0
	case c.Verb == Unique && s.answer == Deny:
		return refused, 0
	case c.Verb == Create && s.exists, c.Verb == Rename && !s.exists:
		return refused, 0
	case !s.exists:
		return created, name
	case name == s.name:
		return unchanged, 0
	default:
		return renamed, name
	}
}
