package protocol

// The promises that a search checks.
const (
	oneOutcome    = "one outcome for each command"
	inOrder       = "a user's commands are decided in order"
	versionHeld   = "expectedVersion is honoured"
	ownHistory    = "a decision is about the history before it"
	oneChain      = "a user's records are one chain"
	markedDone    = "marked commands are decided"
	notAgain      = "marked commands are not decided again"
	toldTrue      = "clients hear of accepted outcomes only"
	nothingLost   = "nothing is lost"
	nothingSticks = "nothing gets stuck"
	noOperator    = "a command of a newer binary needs no operator"
	trimmed       = "topic commands is trimmed"
	notEarly      = "a scheduled command is decided at its time, not before"
	dueOrder      = "scheduled commands go on by their time"
	timeHeld      = "the time of a record is its command's"
	claimHeld     = "a command with a claim waits for the claim"
	cancelHeld    = "a cancelled command takes no effect"
)

// checkAccepted checks a record that the gate is about to accept.
func (m *model) checkAccepted(w *world, d digest) {
	r := &m.records[d]
	c := &m.Commands[r.command]
	before := &m.entries[w.log].streams[0][r.user]
	waits := before.defers(r.command)
	m.checkTime(w, r, before)
	m.checkClaim(r, before)
	since, remembered := 0, int(min(m.Handlers[0].Remember, m.Handlers[1].Remember))
	for old := range m.backwards(w.log) {
		o := &m.records[old]
		if o.user != r.user {
			continue
		}
		was := &m.Commands[o.command]
		if was.Cause == 0 {
			since++
		}
		switch {
		case o.command == r.command && before.schedules(r.command) && o.kind == scheduled:
		case o.command == r.command && (!waits || r.kind == queued || r.kind == scheduled):
			m.Breaks(oneOutcome, "#%d has %s and %s", r.command, m.describe(old), m.describe(d))
		case o.command != r.command && was.Cause > 0 && was.Cause == c.Cause:
			m.Breaks(oneOutcome, "place %d has %s and %s", c.Cause, m.describe(old), m.describe(d))
		case c.Cause > 0:
		case o.command != r.command && was.ID == c.ID && (since <= remembered || before.defers(o.command) || before.schedules(o.command)):
			m.Breaks(oneOutcome, "id %d has %s and %s", c.ID, m.describe(old), m.describe(d))
		case r.kind.defers() || c.operators() || o.kind.defers() || was.operators():
		case m.later(r.command) || m.later(o.command) || c.passes() || was.passes():
		case m.TopicOf(o.command) == m.TopicOf(r.command) && o.command > r.command:
			m.Breaks(inOrder, "%s after %s", m.describe(d), m.describe(old))
		}
	}
	for _, dc := range before.deferred.all() {
		if !r.kind.defers() && !c.operators() && !m.later(r.command) && !m.later(dc.command) && !c.passes() && dc.command < r.command {
			m.Breaks(inOrder, "%s while #%d is deferred", m.describe(d), dc.command)
		}
	}
	if r.kind.event() && c.Expects > 0 && r.version != c.Expects {
		m.Breaks(versionHeld, "#%d expects version %d: %s", r.command, c.Expects-1, m.describe(d))
	}
	if r.kind == parked && c.Verb != Touchy {
		m.Breaks(noOperator, "%s", m.describe(d))
	}
	if !m.follows(w, r, waits) {
		m.Breaks(ownHistory, "nobody decides %s there", m.describe(d))
	}
	if r.seq != before.seq+1 || r.prev != before.head {
		m.Breaks(oneChain, "%s comes after r%d", m.describe(d), before.head)
	}
	for i, told := range w.told {
		switch t := &m.records[told]; {
		case told == 0:
		case told == d:
			w.told[i] = 0
		case t.user == r.user && t.seq == r.seq:
			m.Breaks(toldTrue, "told was %s, and the outcome is %s", m.describe(told), m.describe(d))
		}
	}
}

// follows reports whether one of the two binaries decides the record, after the
// history before.
func (m *model) follows(w *world, r *record, waits bool) bool {
	for i := range m.Handlers {
		s, b := &m.entries[w.log].streams[i][r.user], &m.Handlers[i]
		var k kind
		var name uint8
		sc, any := m.firstDue(s)
		switch {
		case s.schedules(r.command) && (!any || sc.command != r.command):
		case s.schedules(r.command):
			k, name = m.duly(s, r.command, b)
		case !waits:
			k, name = m.outcome(s, r.command, b)
		case m.resumes(s, r.command, b):
			k, name = m.resumed(s, r.command, b)
		}
		if k == r.kind && (name == r.name || !k.event()) {
			return true
		}
	}
	return false
}

// hasOutcome reports whether the log has an outcome of a command, or of a
// command with the same id.
func (m *model) hasOutcome(w *world, command uint8) bool {
	is := &m.Commands[command]
	for d := range m.backwards(w.log) {
		was := &m.Commands[m.records[d].command]
		if is.User == was.User && is.ID == was.ID && is.Cause == was.Cause {
			return true
		}
	}
	return false
}

// checkKnown checks marked commands: after another delivery, a marked command
// must not be decided.
func (m *model) checkKnown(w *world, next uint8) {
	for command := m.startOf(w.topic); command < next; command++ {
		for i := range m.Handlers {
			if s := &m.entries[w.log].streams[i][m.Commands[command].User]; !m.known(s, command) {
				m.Breaks(notAgain, "the group's offset is %d, and %c would decide #%d if it came again", next, 'A'+i, command)
			}
		}
	}
}

// tell tells a client of an outcome that has not been read back.
func (p processor) tell(r digest) {
	is := &p.records[r]
	for old := range p.backwards(p.log) {
		switch o := &p.records[old]; {
		case old == r:
			return
		case o.user == is.user && o.seq == is.seq:
			p.Breaks(toldTrue, "told is %s, and the outcome is %s", p.describe(r), p.describe(old))
		}
	}
	p.told[is.command] = r
}

// checkQuiet checks a world in which nothing must happen any more.
func (m *model) checkQuiet(w *world) {
	for command := m.startOf(w.topic); command < m.endOf(w.topic); command++ {
		if !m.hasOutcome(w, command) {
			m.Breaks(nothingLost, "#%d never gets an outcome", command)
		}
	}
	m.checkKnown(w, m.reached(w))
	if next := m.reached(w); next != m.endOf(w.topic) {
		m.Breaks(nothingSticks, "#%d stays in the processor", next)
	}
	m.checkTrimming(w)
	for user := range uint8(users) {
		if s := &m.entries[w.log].streams[w.owner-1][user]; s.asking {
			m.Breaks(nothingSticks, "the claim of user %d is never answered", user)
		}
		if s := &m.entries[w.log].streams[w.owner-1][user]; s.scheduled.n > 0 {
			m.Breaks(nothingSticks, "#%d of user %d is due, and isn't decided", s.scheduled.items[0].command, user)
		}
		if s := &m.entries[w.log].streams[w.owner-1][user]; m.resuming(s, &m.Handlers[w.owner-1]) {
			m.Breaks(nothingSticks, "the deferred commands of user %d may go on, and don't", user)
		}
	}
	for _, told := range w.told {
		if told > 0 {
			m.Breaks(toldTrue, "told was %s, and the record never counts", m.describe(told))
		}
	}
}
