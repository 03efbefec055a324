package claims

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace/millrace/testing/protocol/explore"
)

// world is a state of everything.
type world struct {
	logs      [streams]log
	next      [users]uint8 // the next command of each user
	owner     uint8        // the process that has the partitions, plus one
	marked    [streams]uint8
	processes [2]process
	late      [maxLate]sent
	left      faults
}

const maxLate = 3

// process is a command service that runs the machine's own reaction.
type process struct {
	running bool
	at      [streams]cursor
}

// cursor is a process's place in a stream.
type cursor struct {
	next   uint8 // the next record
	n      uint8 // the record's next command
	flying bool
}

// sent is a command of the reaction on its way.
type sent struct {
	stream uint8 // of the cause
	place  place // 0 for none
}

type model struct {
	*Scenario
	archive
	explore.Promises
	first   [streams]log
	without rule
	tell    func(string) // hears of events, if not nil
}

func newModel(s *Scenario, without rule) *model {
	m := &model{Scenario: s, archive: archive{make([]entry, 1), map[logKey]log{}}, without: without}
	for stream := range uint8(streams) {
		var at state
		if stream < users {
			at.has = s.Has[stream]
		} else {
			for user, has := range s.Has {
				if has&(1<<(stream-users)) != 0 {
					at.owner = uint8(user) + 1
				}
			}
		}
		m.first[stream] = log(len(m.entries))
		m.entries = append(m.entries, entry{state: at})
	}
	return m
}

func (m *model) off(r rule) bool { return m.without&r != 0 }

func (m *model) say(format string, args ...any) {
	if m.tell != nil {
		m.tell(fmt.Sprintf(format, args...))
	}
}

func (m *model) start() world {
	w := world{logs: m.first, left: m.faults, owner: 1}
	w.processes[0].running = true
	for user := range uint8(users) {
		w.next[user] = m.nextOf(user, 0)
	}
	return w
}

// nextOf is the first command of a user from a place on.
func (m *model) nextOf(user, from uint8) uint8 {
	for from < uint8(len(m.Commands)) && m.Commands[from].User != user {
		from++
	}
	return from
}

type deed uint8

const (
	decides  deed = iota // a user decides the next command
	goesOn               // … the first waiting command
	reacts               // a process sends the next command that follows from a record
	lands                // the command reaches its stream, is decided, and acknowledged
	fails                // the send is given up
	lingers              // a command that nobody waits for reaches its stream
	begins               // the group assigns the partitions
	restarts             // … and a process begins at the start of the log
	crashes              // the owner is killed
)

type action struct {
	deed    deed
	who, at uint8
}

// possible lists all actions that can happen next.
func (m *model) possible(w *world, list []action) (all []action, quiet bool) {
	quiet = w.owner != 0
	must := func(a action) { list, quiet = append(list, a), false }
	for user := range uint8(users) {
		if c := w.next[user]; c < uint8(len(m.Commands)) && m.comes(w, c) {
			must(action{decides, 0, user})
		}
		if m.entries[w.logs[user]].goesOn() {
			must(action{goesOn, 0, user})
		}
	}
	for who := range uint8(len(w.processes)) {
		p := &w.processes[who]
		may := func(d deed, at uint8) { list = append(list, action{d, who, at}) }
		will := func(d deed, at uint8) {
			may(d, at)
			quiet = quiet && w.owner != who+1
		}
		for stream, c := range p.at {
			switch at := uint8(stream); {
			case !p.running:
			case c.flying:
				will(lands, at)
				if w.left.failures > 0 {
					may(fails, at)
				}
			case c.next < m.entries[w.logs[stream]].length:
				will(reacts, at)
			}
		}
		if w.left.crashes > 0 && w.owner == who+1 {
			may(crashes, 0)
		}
		if w.owner == 0 || w.left.takeOvers > 0 {
			may(begins, 0)
			if w.left.resets > 0 {
				may(restarts, 0)
			}
		}
	}
	for i, s := range w.late {
		if s.place > 0 {
			list = append(list, action{lingers, 0, uint8(i)})
		}
	}
	return list, quiet
}

// comes reports whether a command comes now. An operator comes once the stream
// is parked.
func (m *model) comes(w *world, command uint8) bool {
	c := &m.Commands[command]
	return c.Verb != requeue && c.Verb != drop || m.entries[w.logs[c.User]].parked
}

// do carries an action out.
func (m *model) do(w *world, a action) {
	p := &w.processes[a.who]
	c := &p.at[a.at%streams]
	switch a.deed {
	case decides:
		command := w.next[a.at]
		w.next[a.at] = m.nextOf(a.at, command+1)
		m.add(w, a.at, m.decide(&m.entries[w.logs[a.at]].state, command))
	case goesOn:
		s := &m.entries[w.logs[a.at]].state
		m.add(w, a.at, m.decision(s, s.queue[0]))
	case reacts:
		c.flying = true
	case lands:
		s := sent{a.at, placeOf(c.next, c.n)}
		c.n, c.flying = c.n+1, false
		m.land(w, s)
	case fails:
		m.say("the producer of %c gives a command up", 'A'+a.who)
		w.left.failures--
		w.belate(sent{a.at, placeOf(c.next, c.n)})
		c.flying = false
	case lingers:
		s := w.late[a.at]
		w.late[a.at] = sent{}
		m.say("late:")
		m.land(w, s)
	case begins, restarts:
		m.say("%c begins", 'A'+a.who)
		if w.owner != 0 {
			w.left.takeOvers--
		}
		from := w.marked
		if a.deed == restarts {
			w.left.resets--
			from = [streams]uint8{}
		}
		w.stop(p)
		p.running, w.owner = true, a.who+1
		for stream := range p.at {
			p.at[stream].next = from[stream]
		}
	case crashes:
		m.say("%c crashes", 'A'+a.who)
		w.left.crashes--
		w.stop(p)
		w.owner = 0
	}
	m.pass(w)
	m.mark(w, a)
	slices.SortFunc(w.late[:], func(a, b sent) int {
		return cmp.Or(cmp.Compare(b.place, a.place), cmp.Compare(b.stream, a.stream))
	})
}

// pass takes the processes behind the records to which nothing is left to do.
func (m *model) pass(w *world) {
	for i := range w.processes {
		p := &w.processes[i]
		for stream := range p.at {
			c := &p.at[stream]
			for p.running && !c.flying && c.next < m.entries[w.logs[stream]].length {
				if _, n := m.reactions(uint8(stream), m.at(w.logs[stream], c.next)); c.n < n {
					break
				}
				*c = cursor{next: c.next + 1}
			}
		}
	}
}

// mark notes the owner's progress.
func (m *model) mark(w *world, a action) {
	if w.owner != a.who+1 || !w.processes[a.who].running {
		return
	}
	for stream, c := range w.processes[a.who].at {
		next := c.next
		if m.off(answered) && c.flying {
			next++
		}
		w.marked[stream] = max(w.marked[stream], next)
	}
}

// stop ends a process. Its commands on the way may land at any time.
func (w *world) stop(p *process) {
	for stream, c := range p.at {
		if c.flying {
			w.belate(sent{uint8(stream), placeOf(c.next, c.n)})
		}
	}
	*p = process{}
}

func (w *world) belate(s sent) {
	if i := slices.Index(w.late[:], sent{}); i >= 0 && !slices.Contains(w.late[:], s) {
		w.late[i] = s
	}
}

// land decides a command of the reaction.
func (m *model) land(w *world, s sent) {
	list, _ := m.reactions(s.stream, m.at(w.logs[s.stream], uint8(s.place-1)/maxReactions))
	c := list[uint8(s.place-1)%maxReactions]
	r, any := m.decideReaction(&m.entries[w.logs[c.target]].state, c, s.place, s.stream)
	if !any {
		m.say("a repetition to stream %d", c.target)
		return
	}
	m.add(w, c.target, r)
}

// add appends a record to a stream.
func (m *model) add(w *world, stream uint8, r record) {
	w.logs[stream] = m.append(w.logs[stream], r)
	if stream < users {
		m.say("user %d: #%d %s (asks %d, releases %b, value %d, %d)", stream, r.command, r.kind, r.asks, r.releases, r.value, r.user)
	} else {
		m.say("claim %d: %s by user %d for #%d", stream-users, r.kind, r.user, r.command)
	}
	m.check(w, stream, r)
}
