package claims

// The promises that a search checks.
const (
	unique      = "a value has one owner"
	inOrder     = "a user's commands end in order"
	notForever  = "nothing is claimed for ever"
	nothingLost = "every command ends"
	oneSucceeds = "one of the racers succeeds"
)

// check checks a world after a record.
func (m *model) check(w *world, stream uint8, r record) {
	for v := range uint8(values) {
		for user := range uint8(users) {
			if m.entries[w.logs[user]].has&(1<<v) != 0 && m.entries[w.logs[users+v]].owner != user+1 {
				m.Breaks(unique, "user %d has value %d, whose claim says %d", user, v, m.entries[w.logs[users+v]].owner)
			}
		}
	}
	if stream >= users || r.kind != changed && r.kind != same && r.kind != refused || m.Commands[r.command].Verb >= requeue {
		return
	}
	for l := m.entries[w.logs[stream]].before; m.entries[l].length > 0; l = m.entries[l].before {
		old := m.entries[l].record
		if ended := old.kind == changed || old.kind == same || old.kind == refused; ended && old.command >= r.command &&
			m.Commands[old.command].Verb < requeue {
			m.Breaks(inOrder, "#%d ends after #%d", r.command, old.command)
		}
	}
}

// checkQuiet checks a world in which nothing must happen any more.
func (m *model) checkQuiet(w *world) {
	for user := range uint8(users) {
		if s := &m.entries[w.logs[user]]; s.queue[0].command > 0 {
			m.Breaks(nothingLost, "#%d of user %d waits", s.queue[0].command-1, user)
		}
	}
	for v := range uint8(values) {
		owner := m.entries[w.logs[users+v]].owner
		if owner > 0 && m.entries[w.logs[owner-1]].has&(1<<v) == 0 {
			m.Breaks(notForever, "value %d is claimed by user %d, who doesn't have the value", v, owner-1)
		}
		if m.Raced && owner == 0 && m.Commands[0].Values&(1<<v) != 0 {
			m.Breaks(oneSucceeds, "nobody has value %d", v)
		}
	}
}
