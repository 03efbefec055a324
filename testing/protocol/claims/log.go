package claims

// kind is the kind of a record.
type kind uint8

const (
	none      kind = iota
	changed        // the command has ended, and the state has its values
	same           // the command has ended, and changes nothing
	refused        // the command has ended: a value is another stream's, or an operator has dropped the command
	claiming       // the command waits for a claim
	queued         // the command waits behind another
	parked         // the command waits for an operator
	requeued       // the parked command goes on
	dropped        // … and ends
	answer         // the claim's stream has answered
	taken          // of a claim: the user has the value
	held           // of a claim: another user has the value
	given          // of a claim: the user no longer has the value
	unchanged      // of a claim: the user did not have the value
)

func (k kind) String() string {
	return [...]string{"none", "changed", "same", "refused", "claiming", "queued", "parked", "requeued", "dropped", "answer", "taken",
		"held", "given", "unchanged"}[k]
}

// record is a record of a stream. All that the reaction does follows from one
// record.
type record struct {
	kind     kind
	command  uint8 // the command that waits or has ended; of a claim the command that asked
	asks     uint8 // the value to take, plus one
	releases uint8 // a bit for each value to give back
	value    uint8 // of a claim
	user     uint8 // of a claim
	place    place // of the reaction's command that the record ends
	from     uint8 // … and the stream of its cause
}

// place is a command of the reaction: the record that caused the command, and
// which of the record's commands the command is. 0 stands before all places.
type place uint8

const maxReactions = 3 // commands of a record

func placeOf(index, n uint8) place { return place(index*maxReactions + n + 1) }

// log is a state of a stream.
type log uint16

type entry struct {
	before log
	record
	length uint8
	state
}

// state is the state of a stream, a user's or a claim's.
type state struct {
	fences [streams]place // for each stream of causes
	has    uint8          // of a user: a bit for each value
	calm   bool           // of a user: an operator has requeued the parked command
	parked bool
	queue  [maxQueue]waiting
	owner  uint8 // of a claim: plus one
}

const maxQueue = 3

// waiting is a command that waits.
type waiting struct {
	command uint8 // plus one
	asks    uint8 // the value whose claim is not answered, plus one
	taken   uint8
	refused bool // a value is another stream's
	dropped bool
}

type archive struct {
	entries []entry
	known   map[logKey]log
}

type logKey struct {
	before log
	record record
}

// append returns a log with one more record.
func (m *model) append(before log, r record) log {
	key := logKey{before, r}
	l, known := m.known[key]
	if !known {
		l = log(len(m.entries))
		m.known[key] = l
		e := entry{before: before, record: r, length: m.entries[before].length + 1, state: m.entries[before].state}
		m.fold(&e.state, r)
		m.entries = append(m.entries, e)
	}
	return l
}

// at returns a log's record, by its index.
func (m *model) at(l log, index uint8) record {
	for m.entries[l].length > index+1 {
		l = m.entries[l].before
	}
	return m.entries[l].record
}

// fold folds a record.
func (m *model) fold(s *state, r record) {
	if r.place > 0 {
		s.fences[r.from] = max(s.fences[r.from], r.place)
	}
	first := &s.queue[0]
	switch r.kind {
	case claiming:
		s.wait(r.command).asks = r.asks
	case queued:
		s.wait(r.command)
	case parked:
		w := s.wait(r.command)
		s.parked, w.asks = true, 0
	case requeued:
		s.parked, s.calm = false, true
	case dropped:
		s.parked, first.dropped = false, true
	case answer:
		first.asks = 0
		if first.refused = r.user == 0; !first.refused {
			first.taken |= 1 << r.value
		}
	case changed:
		s.has = m.Commands[r.command].Values
		s.end(r.command)
	case same, refused:
		s.end(r.command)
	case taken:
		s.owner = r.user + 1
	case given:
		s.owner = 0
	}
}

// wait puts a command at the end of the queue, if the command isn't there.
func (s *state) wait(command uint8) *waiting {
	for i := range s.queue {
		w := &s.queue[i]
		if w.command == 0 {
			w.command = command + 1
		}
		if w.command == command+1 {
			return w
		}
	}
	panic("maxQueue is too small")
}

func (s *state) end(command uint8) {
	for i := range s.queue {
		if s.queue[i].command == command+1 {
			copy(s.queue[i:], s.queue[i+1:])
			s.queue[maxQueue-1] = waiting{}
			return
		}
	}
}
