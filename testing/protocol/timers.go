package protocol

import "slices"

// MaxDue bounds the scheduled commands of a user that are under way in a
// processor.
const MaxDue = 2

// scheduledCommand is a command that waits for its time.
type scheduledCommand struct {
	command   uint8
	cancelled bool
}

// later reports whether a command waits for its time. The answer comes from the
// acceptance time, so that all deciders give the same.
func (m *model) later(command uint8) bool {
	c := &m.Commands[command]
	return c.NotBefore > c.At
}

func (s *stream) indexScheduled(command uint8) int {
	return slices.IndexFunc(s.scheduled.all(), func(sc scheduledCommand) bool { return sc.command == command })
}

func (s *stream) schedules(command uint8) bool { return s.indexScheduled(command) >= 0 }

// indexScheduledID is the place of a scheduled command that is not cancelled.
func (m *model) indexScheduledID(s *stream, id uint8) int {
	return slices.IndexFunc(s.scheduled.all(), func(sc scheduledCommand) bool {
		return m.Commands[sc.command].ID == id && !sc.cancelled
	})
}

func (s *stream) unschedule(command uint8) (was bool) {
	i := s.indexScheduled(command)
	if i >= 0 {
		s.scheduled.remove(i)
	}
	return i >= 0
}

func (s *stream) cancel(i int) {
	if i >= 0 {
		s.scheduled.items[i].cancelled = true
	}
}

// outcomeLast makes an outcome the last: the place of a scheduled command among
// the outcomes is the place of its end.
func (s *stream) outcomeLast(id uint8) {
	if i := slices.Index(s.outcomes.all(), id); i >= 0 {
		s.outcomes.remove(i)
		s.outcomes.add(id)
	}
}

// forget evicts the oldest outcomes, but none of a scheduled command.
func (m *model) forget(s *stream, limit uint8) {
	kept := func(id uint8) bool {
		return !m.off(scheduledID) && slices.ContainsFunc(s.scheduled.all(), func(sc scheduledCommand) bool {
			return m.Commands[sc.command].ID == id
		})
	}
	n := uint8(0)
	for _, id := range s.outcomes.all() {
		if !kept(id) {
			n++
		}
	}
	for i := 0; n > limit; {
		if kept(s.outcomes.items[i]) {
			i++
			continue
		}
		s.outcomes.remove(i)
		n--
	}
}

// firstDue is the scheduled command that goes on next: a cancelled command, or
// the command with the lowest notBefore. Of equal ones the first goes on first.
func (m *model) firstDue(s *stream) (sc scheduledCommand, any bool) {
	for _, other := range s.scheduled.all() {
		switch {
		case !any, other.cancelled && !sc.cancelled:
		case m.off(dueInTurn) || sc.cancelled || m.Commands[other.command].NotBefore >= m.Commands[sc.command].NotBefore:
			continue
		}
		sc, any = other, true
	}
	return sc, any
}

// due reports whether a scheduled command goes on next, by a clock.
func (m *model) due(s *stream, command, clock uint8) bool {
	sc, any := m.firstDue(s)
	return any && sc.command == command &&
		(sc.cancelled || clock >= m.Commands[command].NotBefore || m.off(dueByClock))
}

// duly is the outcome of a scheduled command that is due.
func (m *model) duly(s *stream, command uint8, b *Binary) (k kind, name uint8) {
	switch i := s.indexScheduled(command); {
	case s.scheduled.items[i].cancelled && !m.off(cancelMarks):
		return refused, isCancelled
	case s.deferred.n > 0 && !m.off(dueQueued):
		return m.behindDeferred(command, b)
	default:
		return m.decision(s, command, b)
	}
}

// timeOf is the time of a command's record.
func (p processor) timeOf(command uint8, from source) uint8 {
	c := &p.Commands[command]
	switch {
	case from == fromTopic:
		return c.At
	case p.off(dueTime) && from == fromTimer:
		return p.clock
	default:
		return max(c.At, c.NotBefore)
	}
}

// ring decides a stream's scheduled commands that are due, each on top of the
// command before.
func (p processor) ring(user uint8) {
	for {
		own := 0
		for i := range p.jobs {
			if j := &p.jobs[i]; j.from == fromTimer && !j.done && p.userOf(j) == user {
				own++
			}
		}
		top := p.top(user, nil)
		sc, any := p.firstDue(&top)
		if !any || own == MaxDue || !p.due(&top, sc.command, p.clock) {
			return
		}
		if p.off(dueAnywhere) && p.here&(1<<sc.command) == 0 {
			return
		}
		p.decide(p.add(job{command: sc.command + 1, from: fromTimer}))
	}
}

// look decides all commands that are due by the clock.
func (p processor) look() {
	if !p.assigned {
		return
	}
	for user := range uint8(users) {
		p.ring(user)
	}
}

// noteDecided notes what only a search without a rule asks for.
func (p processor) noteDecided(command uint8, k kind) {
	if p.off(dueAnywhere) && k == scheduled {
		p.here |= 1 << command
	}
	if c := &p.Commands[command]; p.off(fenceCounts) && c.Cause > 0 {
		p.seen[c.User].Fold(c.fence(), 0)
	}
}

// checkTime checks the time of a record that the gate is about to accept.
func (m *model) checkTime(w *world, r *record, before *stream) {
	c := &m.Commands[r.command]
	want := max(c.At, c.NotBefore)
	if r.kind == scheduled {
		want = c.At
	}
	if r.time != want {
		m.Breaks(timeHeld, "#%d has a record of the time %d, and waited for %d", r.command, r.time, want)
	}
	i := before.indexScheduled(r.command)
	if i < 0 {
		return
	}
	if before.scheduled.items[i].cancelled {
		if r.kind != refused || r.name != isCancelled {
			m.Breaks(cancelHeld, "#%d is %s", r.command, r.kind)
		}
		return
	}
	if w.latest < c.NotBefore {
		m.Breaks(notEarly, "#%d is decided at %d, and waits for %d", r.command, w.latest, c.NotBefore)
	}
	for _, sc := range before.scheduled.all() {
		if m.Commands[sc.command].NotBefore < c.NotBefore {
			m.Breaks(dueOrder, "#%d goes on before #%d", r.command, sc.command)
		}
	}
	if !r.kind.defers() && before.deferred.n > 0 {
		m.Breaks(inOrder, "#%d goes on while #%d is deferred", r.command, before.deferred.items[0].command)
	}
}
