package protocol

import "slices"

// checkTrimming checks that topic commands can be trimmed up to its end once all
// is decided: of each command, the state store says that the command is.
func (m *model) checkTrimming(w *world) {
	for command := m.startOf(w.topic); command < m.reached(w); command++ {
		c := &m.Commands[command]
		s := &m.entries[w.log].streams[w.owner-1][c.User]
		decided := m.known(s, command)
		if m.off(fenceTrims) {
			decided = m.hasPosition(s, command) || slices.Contains(s.outcomes.all(), c.ID)
		}
		if !decided {
			m.Breaks(trimmed, "#%d is decided, and stays", command)
		}
	}
}
