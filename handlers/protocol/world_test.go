package protocol

import (
	"cmp"
	"fmt"
	"slices"
)

const (
	users       = 2
	maxCommands = 8
	maxLog      = 24
)

// world is a state of everything: the two topics, the group, and the handlers.
// Of topic commands there is only what the group knows, for the scenario has
// the commands. Of topic events there are only the records that the gate
// accepts: the others are ignored by every fold, for ever.
type world struct {
	log       [maxLog]digest
	length    uint8
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

// view is a user after the log's first records, as a binary reads them.
func (m *model) view(w *world, records, user uint8, b binary) (s stream) {
	for _, d := range w.log[:records] {
		if m.records[d].user == user {
			m.fold(&s, d, b)
		}
	}
	return s
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
	commits              // the session's mark reaches the group
	claims               // the group hands over the partition
	lingers              // an append that nobody waits for lands
	letsGo               // a handler finds out that the partition isn't its own
	crashes              // a handler is killed, and starts anew
	strays               // a message of an old session comes to the desk
	resets               // the group's offset is lost
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
				may(lingers, at)
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
			d := m.desk(w, int(who))
			if h.next < m.endOf(h.topic) && d.busy() < m.window {
				will(takes, int(h.next))
				if m.off(ownSession) && !h.strayed && h.next == h.marked && d.busy() == 0 && h.next+1 < m.endOf(h.topic) {
					may(strays, int(h.next+1))
				}
			}
			if h.folded < w.length {
				will(reads, 0)
			}
			if h.retry {
				will(retries, 0)
			}
			if h.marked != w.committed && h.topic == w.topic {
				will(commits, 0)
			}
			if w.owner != who+1 {
				may(letsGo, 0)
			}
		}
		switch {
		case w.owner == 0:
			quiet = false
			may(claims, 0)
		case w.left.takeOvers > 0:
			may(claims, 0)
		}
		if w.left.crashes > 0 {
			may(crashes, 0)
		}
	}
	if w.left.resets > 0 && w.committed > m.startOf(w.topic) {
		list = append(list, action{deed: resets})
	}
	if m.recreated > 0 && w.topic == 0 {
		list = append(list, action{deed: recreate})
	}
	return list, quiet
}

// do lets something happen.
func (m *model) do(w *world, a action) {
	d := m.desk(w, int(a.who))
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
	case commits:
		m.note("%s commits %d", d.name(), d.marked)
		w.committed = d.marked
		m.checkCommitted(w)
	case claims:
		m.note("%s claims the partition, from #%d on", d.name(), w.committed)
		if w.owner != 0 {
			w.left.takeOvers--
		}
		d.claim()
	case letsGo:
		m.note("%s lets go of the partition", d.name())
		d.letGo()
	case crashes:
		m.note("%s crashes, and starts anew", d.name())
		w.left.crashes--
		d.letGo()
		d.folded = 0
		if w.owner == a.who+1 {
			w.owner = 0
		}
	case resets:
		m.note("the group's offset is lost")
		w.left.resets--
		w.committed = m.startOf(w.topic)
	case recreate:
		m.note("topic commands is made anew")
		w.topic, w.owner = 1, 0
		w.committed = m.startOf(1)
	}
	m.tidy(w)
}

// land puts a record into the log, if the gate accepts it there.
func (d desk) land(r digest) {
	s := d.view(d.world, d.length, d.records[r].user, d.binary)
	if !d.accepts(&s, r) {
		d.note("%s lands, and counts for nothing", d.describe(r))
		return
	}
	d.note("%s lands", d.describe(r))
	d.checkAccepted(d.world, r)
	d.log[d.length] = r
	d.length++
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
	head, seq := digest(0), uint8(0)
	for _, accepted := range w.log[:w.length] {
		if m.records[accepted].user == m.records[d].user {
			head, seq = accepted, m.records[accepted].seq
		}
	}
	for m.records[d].seq > seq+1 {
		d = m.records[d].prev
	}
	return m.records[d].seq <= seq || m.records[d].prev != head
}
