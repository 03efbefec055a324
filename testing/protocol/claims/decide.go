package claims

import "math/bits"

// goesOn reports whether the first waiting command can be decided.
func (s *state) goesOn() bool { return s.queue[0].command > 0 && !s.parked && s.queue[0].asks == 0 }

// decide is the decision of a user about a client's or operator's command.
func (m *model) decide(s *state, command uint8) record {
	c := &m.Commands[command]
	switch {
	case c.Verb == requeue && s.parked:
		return record{kind: requeued, command: command}
	case c.Verb == drop && s.parked:
		return record{kind: dropped, command: command}
	case c.Verb == requeue, c.Verb == drop:
		return record{kind: refused, command: command}
	case s.parked, s.queue[0].command > 0 && !m.off(queueBehind):
		return record{kind: queued, command: command}
	default:
		return m.decision(s, waiting{command: command + 1})
	}
}

// decision is the decision about a command whose turn it is.
func (m *model) decision(s *state, w waiting) record {
	command := w.command - 1
	c := &m.Commands[command]
	r := record{command: command}
	adds := c.Values &^ s.has &^ w.taken
	switch {
	case w.refused, w.dropped:
		r.kind = refused
		if !m.off(giveTaken) {
			r.releases = w.taken &^ s.has
		}
	case c.Verb == touchy && !s.calm && (adds == 0 || m.off(takeFirst)):
		r.kind = parked
		if m.off(parkedKeeps) {
			r.releases = w.taken
		}
	case adds > 0 && !m.off(takeFirst):
		r.kind, r.asks = claiming, m.next(adds, command)+1
		if m.off(waitAnswer) {
			r.kind = changed
		}
	case c.Values == s.has:
		r.kind = same
	default:
		r.kind = changed
	}
	if r.kind == changed && !m.off(giveBack) {
		r.releases = (s.has | w.taken) &^ c.Values
	}
	return r
}

// next is the value that a command takes next.
func (m *model) next(adds, command uint8) uint8 {
	if m.off(sorted) && m.Commands[command].User == 1 {
		return uint8(bits.Len8(adds)) - 1
	}
	return uint8(bits.TrailingZeros8(adds))
}

// reaction is a command of the machine's own reaction.
type reaction struct {
	target  uint8 // a stream
	give    bool
	command uint8
	user    uint8
	value   uint8
	taken   bool // in an answer
}

// reactions are the commands that follow from a record. n counts them.
func (m *model) reactions(stream uint8, r record) (list [maxReactions]reaction, n uint8) {
	add := func(c reaction) { list[n], n = c, n+1 }
	switch {
	case r.kind == taken, r.kind == held:
		add(reaction{target: r.user, command: r.command, value: r.value, taken: r.kind == taken})
	case stream < users:
		for v := range uint8(values) {
			if r.releases&(1<<v) != 0 {
				add(reaction{target: users + v, give: true, user: stream, value: v, command: r.command})
			}
		}
		if r.asks > 0 {
			add(reaction{target: users + r.asks - 1, user: stream, value: r.asks - 1, command: r.command})
		}
	}
	return list, n
}

// decideReaction is the decision of a stream about a command of the reaction.
func (m *model) decideReaction(s *state, c reaction, p place, from uint8) (r record, any bool) {
	if p <= s.fences[from] && !m.off(fenced) {
		return record{}, false
	}
	r = record{command: c.command, value: c.value, user: c.user, place: p, from: from}
	owns := s.owner == c.user+1
	switch {
	case c.target < users:
		first := s.queue[0]
		if first.command != c.command+1 || first.asks != c.value+1 {
			r.kind = unchanged
			break
		}
		r.kind, r.user = answer, 0
		if c.taken {
			r.user = 1
		}
	case c.give && (owns || m.off(ownerGives)):
		r.kind = given
	case c.give:
		r.kind = unchanged
	case s.owner == 0, owns && !m.off(ownSucceeds), m.off(oneOwner):
		r.kind = taken
	default:
		r.kind = held
	}
	return r, true
}
