package protocol

import (
	"fmt"
	"iter"
)

func (m *model) breaks(promise, format string, args ...any) {
	if m.broken == "" {
		m.broken = promise + ": " + fmt.Sprintf(format, args...)
	}
}

// The promises.
const (
	oneOutcome    = "one outcome for each command"
	inOrder       = "a user's commands are decided in order"
	versionHeld   = "expectedVersion is honoured"
	ownHistory    = "every decision is about the history before it"
	oneChain      = "the records of a user are one chain"
	markedDone    = "what is marked is decided"
	toldTrue      = "clients are told what counts"
	nothingLost   = "nothing is lost"
	nothingSticks = "nothing sticks"
)

// checkAccepted looks at a record that is about to be accepted.
func (m *model) checkAccepted(w *world, d digest) {
	r, c := m.records[d], m.commands[m.records[d].command]
	before := &m.entries[w.log].streams[0][r.user]
	waits := before.holds(r.command)
	since := 0 // the user's records
	remembered := int(min(m.handlers[0].remember, m.handlers[1].remember))
	for old := range m.backwards(w.log) {
		o := m.records[old]
		if o.user != r.user {
			continue
		}
		since++
		was := m.commands[o.command]
		switch {
		case o.command == r.command && (!waits || r.kind == queued):
			m.breaks(oneOutcome, "#%d has %s and %s", r.command, m.describe(old), m.describe(d))
		case o.command != r.command && was.id == c.id && since <= remembered:
			m.breaks(oneOutcome, "id %d has %s and %s", c.id, m.describe(old), m.describe(d))
		case r.kind.holds() || c.operators() || o.kind.holds() || was.operators():
		case m.topicOf(o.command) == m.topicOf(r.command) && o.command > r.command:
			m.breaks(inOrder, "%s after %s", m.describe(d), m.describe(old))
		}
	}
	for _, h := range before.held.all() {
		if !r.kind.holds() && !c.operators() && h.command < r.command {
			m.breaks(inOrder, "%s while #%d is held", m.describe(d), h.command)
		}
	}
	if r.kind.event() && c.expects > 0 && r.version != c.expects {
		m.breaks(versionHeld, "#%d expects version %d: %s", r.command, c.expects-1, m.describe(d))
	}
	if !m.follows(w, r, waits) {
		m.breaks(ownHistory, "%s", m.describe(d))
	}
	if r.seq != before.seq+1 || r.prev != before.head {
		m.breaks(oneChain, "%s after %s", m.describe(d), m.describe(before.head))
	}
	for i, told := range w.told {
		switch t := m.records[told]; {
		case told == 0:
		case told == d:
			w.told[i] = 0
		case t.user == r.user && t.seq == r.seq:
			m.breaks(toldTrue, "%s, and it is %s", m.describe(told), m.describe(d))
		}
	}
}

// follows says whether one of the two binaries decides so, after the history
// before.
func (m *model) follows(w *world, r record, waits bool) bool {
	for i := range m.handlers {
		s, b := &m.entries[w.log].streams[i][r.user], &m.handlers[i]
		k, name := kind(0), uint8(0)
		switch {
		case !waits:
			k, name = m.outcome(s, r.command, b)
		case s.resuming():
			k, name = m.resumed(s, s.held.items[s.indexHeld(r.command)], b)
		}
		if k == r.kind && (name == r.name || !k.event()) {
			return true
		}
	}
	return false
}

// hasOutcome says whether the log has one for a command, or for an earlier one
// with its id.
func (m *model) hasOutcome(w *world, c uint8) bool {
	for d := range m.backwards(w.log) {
		is, other := m.commands[c], m.commands[m.records[d].command]
		if is.user == other.user && is.id == other.id {
			return true
		}
	}
	return false
}

// tell tells a client of an outcome before it is read back.
func (d desk) tell(r digest) {
	is := d.records[r]
	for accepted := range d.backwards(d.log) {
		switch a := d.records[accepted]; {
		case accepted == r:
			return
		case a.user == is.user && a.seq == is.seq:
			d.breaks(toldTrue, "%s, and it is %s", d.describe(r), d.describe(accepted))
		}
	}
	d.told[is.command] = r
}

// checkQuiet looks at a world in which nothing more has to happen.
func (m *model) checkQuiet(w *world) {
	for c := m.startOf(w.topic); c < m.endOf(w.topic); c++ {
		if !m.hasOutcome(w, c) {
			m.breaks(nothingLost, "#%d never gets an outcome", c)
		}
	}
	if next := m.reached(w); next != m.endOf(w.topic) {
		m.breaks(nothingSticks, "#%d stays at the desk", next)
	}
	for user := range uint8(users) {
		if m.entries[w.log].streams[0][user].resuming() {
			m.breaks(nothingSticks, "user %d waits for a command that may go on", user)
		}
	}
	for _, told := range w.told {
		if told > 0 {
			m.breaks(toldTrue, "%s, and it never counts", m.describe(told))
		}
	}
}

// backwards yields a log's records, the last one first.
func (m *model) backwards(l log) iter.Seq[digest] {
	return func(yield func(digest) bool) {
		for ; l != 0; l = m.entries[l].before {
			if !yield(m.entries[l].record) {
				return
			}
		}
	}
}
