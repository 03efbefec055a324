package protocol

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	users       = 2
	maxCommands = 8
)

// world is a state of everything: the two topics, the group, and the handlers.
// Of topic commands there is only what the group knows, for the scenario has
// the commands.
type world struct {
	log       log
	topic     uint8 // of the two topics commands, the one that is there
	owner     uint8 // whom the group takes for the owner, and one more; 0 for nobody
	committed uint8 // the group's offset
	handlers  [2]handler
	left      faults
	told      [maxCommands]digest // outcomes that clients were told of, and that are not in the log
	ticks     uint8
}

// model is a scenario and the rules by which it is played.
type model struct {
	*scenario
	archive
	without rule
	broken  string       // the promise that was broken, and how
	sent    func(digest)
	say     func(string) // tells what happens, if anybody listens
}

func newModel(s *scenario, without rule) *model {
	return &model{scenario: s, archive: newArchive(), without: without}
}

// off says whether a rule is switched off.
func (m *model) off(r rule) bool { return m.without&r != 0 }

func (m *model) note(format string, args ...any) {
	if m.say != nil {
		m.say(fmt.Sprintf(format, args...))
	}
}

// start is the world before anything: handler A owns the partition.
func (m *model) start() world {
	w := world{left: m.faults}
	m.desk(&w, 0).claim()
	return w
}

// append returns a log with one record more.
func (m *model) append(to log, d digest) log {
	key := [2]uint16{uint16(to), uint16(d)}
	l, ok := m.logs[key]
	if !ok {
		l = log(len(m.entries))
		m.logs[key] = l
		before := &m.entries[to]
		e := entry{before: to, record: d, length: before.length + 1, streams: before.streams}
		for i := range e.streams {
			m.fold(&e.streams[i][m.records[d].user], d, &m.handlers[i])
		}
		m.entries = append(m.entries, e)
	}
	return l
}

// after returns a log with the first record that a longer one has more.
func (m *model) after(short, long log) log {
	for m.entries[long].before != short {
		long = m.entries[long].before
	}
	return long
}

// contains says whether a log has a record.
func (m *model) contains(l log, d digest) bool {
	for old := range m.backwards(l) {
		if old == d {
			return true
		}
	}
	return false
}

// deed is what can happen next.
type deed uint8

const (
	takes    deed = iota // a command is delivered, decided, and its append sent
	lands                // the oldest append reaches the log
	fails                // the oldest append is given up, though it may still land
	hears                // the handler is told of that
	retries              // and sends again
	reads                // the ledger folds a record
	claims               // the group hands over the partition
	lingers              // an append that nobody waits for lands
	crashes              // a handler is killed, and starts anew
	strays               // a message of an old session comes to the desk
	recreate             // topic commands is deleted and made anew
	deeds
)

// action is a deed of one handler, or to it. at tells apart several of a kind.
type action struct {
	deed    deed
	who, at uint8
}

// possible lists what can happen next. It is quiet when nothing is sure to
// happen sooner or later, as far as the owner is concerned: a zombie, an
// append that nobody waits for, and a fault may never do anything.
func (m *model) possible(w *world, list []action) (all []action, quiet bool) {
	quiet = true
	for who := range uint8(2) {
		may := func(deed deed, at int) { list = append(list, action{deed, who, uint8(at)}) }
		will := func(deed deed, at int) {
			may(deed, at)
			quiet = quiet && w.owner != who+1
		}
		h := &w.handlers[who]
		flies := -1
		for at, f := range h.air {
			switch {
			case f.record == 0:
			case f.state == failed:
				will(hears, at)
			case f.state == astray:
				if m.acceptable(w, f.record) { // otherwise it may as well never land
					may(lingers, at)
				}
			case flies < 0:
				flies = at
			}
		}
		if flies >= 0 {
			will(lands, flies)
			if w.left.failures > 0 {
				may(fails, flies)
			}
		}
		if h.claimed {
			d := m.desk(w, who)
			if h.next < m.endOf(h.topic) && d.busy() < m.window {
				will(takes, int(h.next))
				if m.off(ownSession) && !h.strayed && h.next == h.marked && d.busy() == 0 && h.next+1 < m.endOf(h.topic) {
					may(strays, int(h.next+1))
				}
			}
			if h.folded != w.log {
				will(reads, 0)
			}
			if h.retry {
				will(retries, 0)
			}
		}
		if w.owner == 0 || w.left.takeOvers > 0 {
			if start := m.startOf(w.topic); start < w.committed && w.left.resets > 0 {
				may(claims, int(start))
			}
			for next := w.committed; next <= m.reached(w); next++ {
				may(claims, int(next))
			}
		}
		for next := w.committed; next <= m.reached(w); next++ {
			if w.owner == who+1 && w.left.crashes > 0 {
				may(crashes, int(next))
			}
		}
	}
	if w.owner == 0 {
		quiet = false
	}
	if m.recreated > 0 && w.topic == 0 {
		list = append(list, action{deed: recreate})
	}
	return list, quiet
}

// do lets something happen.
func (m *model) do(w *world, a action) {
	d := m.desk(w, a.who)
	r := d.air[a.at%maxAir].record // for those that are about an append
	switch a.deed {
	case takes:
		m.note("%s takes #%d", d.name(), a.at)
		d.take(a.at)
	case strays:
		m.note("%s takes #%d, which an old session had fetched", d.name(), a.at)
		d.strayed = true
		d.take(a.at)
	case lands, lingers:
		d.drop(a.at)
		d.land(r)
		if a.deed == lands {
			d.heardOf(r)
		}
	case fails:
		m.note("the producer of %s gives up %s", d.name(), m.describe(r))
		w.left.failures--
		d.air[a.at].state = failed
		d.launch(flight{r, astray})
	case hears:
		m.note("%s hears that %s failed", d.name(), m.describe(r))
		d.drop(a.at)
		d.appendFailed(r)
	case retries:
		m.note("%s sends again", d.name())
		d.sendAgain()
	case reads:
		d.readBack()
	case claims:
		m.note("%s claims the partition, from #%d on", d.name(), a.at)
		if w.owner != 0 {
			w.left.takeOvers--
		}
		if a.at < w.committed {
			w.left.resets--
		}
		m.commit(w, a.at)
		d.claim()
	case crashes:
		m.note("%s crashes, and starts anew", d.name())
		w.left.crashes--
		m.commit(w, a.at)
		d.letGo()
		d.folded = 0
		w.owner = 0
	case recreate:
		m.note("topic commands is made anew")
		w.topic, w.owner = 1, 0
		w.committed = m.startOf(1)
	}
	m.tidy(w)
}

// reached is how far the owner has marked. The group's offset follows at some
// time, and nobody looks at it before somebody claims the partition anew: it
// is enough to say then how far it came.
func (m *model) reached(w *world) uint8 {
	if w.owner == 0 {
		return w.committed
	}
	return w.handlers[w.owner-1].marked
}

func (m *model) commit(w *world, next uint8) {
	w.committed = next
	for c := m.startOf(w.topic); c < next; c++ {
		if !m.hasOutcome(w, c) {
			m.breaks(markedDone, "the group's offset is %d, and #%d has no outcome", next, c)
		}
	}
}

func (m *model) acceptable(w *world, r digest) bool {
	return m.accepts(&m.entries[w.log].streams[0][m.records[r].user], r)
}

// land puts a record into the log, if the gate accepts it there.
func (d desk) land(r digest) {
	if !d.acceptable(d.world, r) {
		d.note("%s lands, and counts for nothing", d.describe(r))
		return
	}
	d.note("%s lands", d.describe(r))
	d.checkAccepted(d.world, r)
	d.log = d.append(d.log, r)
}

// drop takes an append out of the air.
func (d desk) drop(at uint8) {
	copy(d.air[at:], d.air[at+1:])
	d.air[maxAir-1] = flight{}
}

// tidy makes worlds the same that can't be told apart.
func (m *model) tidy(w *world) {
	for i := range w.handlers {
		h := &w.handlers[i]
		if !h.claimed {
			*h = handler{folded: h.folded, air: h.air}
		}
		air := h.air[:0]
		for _, f := range h.air {
			if f.record > 0 && (f.state != astray || !m.lost(w, f.record) && !slices.Contains(air, f)) {
				air = append(air, f)
			}
		}
		clear(h.air[len(air):])
		slices.SortStableFunc(air, func(a, b flight) int {
			if a.state == flying && b.state == flying {
				return 0
			}
			return cmp.Or(cmp.Compare(a.state, b.state), cmp.Compare(a.record, b.record))
		})
	}
}

// lost says that a record can't be accepted any more, whatever comes.
func (m *model) lost(w *world, d digest) bool {
	if m.without&(gate|gateSeq|gatePrev|gateVersion) != 0 {
		return false
	}
	s := &m.entries[w.log].streams[0][m.records[d].user]
	for m.records[d].seq > s.seq+1 {
		d = m.records[d].prev
	}
	return !m.accepts(s, d)
}
