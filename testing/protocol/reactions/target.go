package reactions

import "github.com/millrace/millrace/testing/protocol/fence"

// command is a command on its way to a target.
type command struct {
	place  fence.Place
	open   uint8 // a bit for each cause stream that is open
	target uint8
}

func placeOf(cause, n uint8) fence.Place { return fence.Place(cause*maxCommands + n + 1) }

func causeOf(p fence.Place) uint8  { return uint8(p-1) / maxCommands }
func numberOf(p fence.Place) uint8 { return uint8(p-1) % maxCommands }

// decideAt is a target's decision: a repetition leaves no record.
func (m *model) decideAt(w *world, c command) {
	f, seen := &w.targets[c.target], fence.Command{Place: c.place, Stream: m.Causes[causeOf(c.place)].Stream, Open: c.open}
	if m.landed != nil {
		m.landed(c.target, seen)
	}
	if f.Repeats(seen, fence.Rule(m.without)) {
		m.say("%s is a repetition", m.text(c))
		return
	}
	m.say("%s takes effect", m.text(c))
	m.checkEffect(w, c)
	f.Fold(seen, fence.Rule(m.without))
}
