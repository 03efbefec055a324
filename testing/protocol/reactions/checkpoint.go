package reactions

// checkpoint is the state of the reaction's own stream: every command that the
// reaction has to send is behind one of its places.
type checkpoint struct {
	version uint8
	started bool
	next    uint8 // the first cause that may be unanswered
	open    [causeStreams]openStream
}

// openStream is a cause stream whose causes from a place on are not yet
// answered, although those of other streams behind it may be.
type openStream struct {
	state state
	from  uint8 // the first unanswered cause
}

type state uint8

const (
	closed  state = iota
	parked        // the causes wait for an operator
	goingOn       // the causes are answered in turn
)

// note is a record that a process adds to the reaction's stream.
type note struct {
	kind    noteKind
	version uint8 // the version that the writer knew, plus one
	stream  uint8
	cause   uint8               // where the reaction starts, the parked cause, or the first cause that may be unanswered
	from    [causeStreams]uint8 // of progress: the first unanswered cause of each stream that goes on
}

type noteKind uint8

const (
	none noteKind = iota
	starts
	parks
	progress
)

// decide is the decision of the reaction's stream about a note.
func (m *model) decide(c checkpoint, n note) (checkpoint, bool) {
	before := c
	switch open := &c.open[n.stream]; {
	case n.version != c.version+1 && !m.off(unchanged):
		return c, false
	case n.kind == starts && !c.started:
		c.started, c.next = true, n.cause
	case n.kind == parks && open.state == goingOn && n.cause >= open.from,
		n.kind == parks && (open.state == closed || n.cause < open.from) && n.cause >= c.next: // no record says that the cause is answered
		*open = openStream{parked, n.cause}
	case n.kind == progress:
		c.next = max(c.next, n.cause)
		for s := range c.open {
			if o := &c.open[s]; o.state == goingOn {
				if o.from = max(o.from, n.from[s]); o.from >= c.next {
					*o = openStream{}
				}
			}
		}
	}
	if c == before {
		return c, false
	}
	c.version++
	return c, true
}

// retry and skip are decisions about an operator's commands.
func (c checkpoint) retry(stream uint8) checkpoint {
	c.version++
	c.open[stream].state = goingOn
	return c
}

func (c checkpoint) skip(stream uint8) checkpoint {
	c = c.retry(stream)
	c.open[stream].from++
	return c
}

// point is a checkpoint with its history, so that a process can read record by
// record. 0 is the empty stream.
type point uint16

type history struct {
	points []pointEntry
	known  map[pointEntry]point
}

type pointEntry struct {
	before point
	checkpoint
}

func newHistory() history { return history{make([]pointEntry, 1), map[pointEntry]point{}} }

func (h *history) add(before point, c checkpoint) point {
	e := pointEntry{before, c}
	p, known := h.known[e]
	if !known {
		p = point(len(h.points))
		h.known[e] = p
		h.points = append(h.points, e)
	}
	return p
}

// after returns the point behind short on the way to long.
func (h *history) after(short, long point) point {
	for h.points[long].before != short {
		long = h.points[long].before
	}
	return long
}
