package protocol

// asks reports whether the first deferred command waits for the answer to a
// claim. Package claims has the rest of a claim.
func (m *model) asks(s *stream) bool { return s.asking && !m.off(claimWaits) }

// answers reports whether an answer is the one that the first deferred command
// waits for.
func (m *model) answers(s *stream, command uint8) bool {
	return s.asking && (m.Commands[s.deferred.items[0].command].ID == m.Commands[command].Answers || m.off(claimAnswers))
}

// comes reports whether a command is in the topic yet. An answer follows from a
// record that counts.
func (m *model) comes(w *world, command uint8) bool {
	c := &m.Commands[command]
	if c.Verb != Take && c.Verb != Deny {
		return true
	}
	for d := range m.backwards(w.log) {
		if r := &m.records[d]; r.kind == claiming && m.Commands[r.command].ID == c.Answers {
			return true
		}
	}
	return false
}

// checkClaim checks a record that the gate is about to accept.
func (m *model) checkClaim(r *record, before *stream) {
	if m.Commands[r.command].Verb == Unique && r.kind.event() && before.answer != Take {
		m.Breaks(claimHeld, "#%d is %s without a claim", r.command, r.kind)
	}
}
