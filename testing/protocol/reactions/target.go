package reactions

// command is a command on its way to a target.
type command struct {
	place  place
	open   uint8 // a bit for each cause stream that is open
	target uint8
}

// place is the place of a command: the record that caused the command, and
// which of the record's commands this is. 0 stands before all places.
type place uint8

func placeOf(cause, n uint8) place { return place(cause*maxCommands + n + 1) }

func (p place) cause() uint8 { return uint8(p-1) / maxCommands }
func (p place) n() uint8     { return uint8(p-1) % maxCommands }

// fence is the part of a target stream's state that knows repetitions.
type fence struct {
	highest place
	open    uint8               // a bit for each cause stream with a place of its own
	own     [causeStreams]place // the highest place of an open cause stream's commands
}

// repeats reports whether a command was here before.
func (m *model) repeats(f *fence, c command) bool {
	stream := m.Causes[c.place.cause()].Stream
	switch {
	case m.off(fenced):
		return false
	case f.open&bit(stream) != 0 && m.off(openBehind):
		return false
	case f.open&bit(stream) != 0:
		return c.place <= f.own[stream]
	default:
		return c.place <= f.highest
	}
}

// fold folds a record that ends a command, or lets the command wait. A cause
// stream is open for the target from the command on that names the stream, and
// until a later command doesn't.
func (m *model) fold(f *fence, c command) {
	for s := range uint8(causeStreams) {
		switch isOpen := f.open&bit(s) != 0; {
		case c.place <= f.highest, m.off(openApart):
		case c.open&bit(s) != 0 && !isOpen:
			f.open |= bit(s)
			f.own[s] = f.highest
		case c.open&bit(s) == 0 && isOpen && !m.off(forgetClosed):
			f.open &^= bit(s)
			f.own[s] = 0
		}
	}
	if stream := m.Causes[c.place.cause()].Stream; f.open&bit(stream) != 0 {
		f.own[stream] = max(f.own[stream], c.place)
	}
	f.highest = max(f.highest, c.place)
}

func bit(stream uint8) uint8 { return 1 << stream }
