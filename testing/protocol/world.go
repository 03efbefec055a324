package protocol

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace/millrace/testing/protocol/explore"
)

const (
	users       = 2
	maxCommands = 6
)

// world is a state of everything: both topics, the group, and the handlers. The
// scenario has the commands, so of topic commands a world has only the group's
// offset.
type world struct {
	log       log
	topic     uint8 // which of the two topics commands is there
	owner     uint8 // the owner in the group's view, plus one; 0 for nobody
	committed uint8 // the group's offset, at the last look
	ticks     uint8 // of impure decisions
	handlers  [2]handler
	left      faults
	latest    uint8               // the latest time that a clock has shown
	told      [maxCommands]digest // outcomes that clients have heard of, and that are not in the log
}

// model is a scenario, and the rules of a search.
type model struct {
	*Scenario
	archive
	explore.Promises
	without rule
	sent    func(digest) // hears of appends, if not nil
	say     func(string) // hears of events, if not nil
}

func newModel(s *Scenario, without rule) *model {
	return &model{Scenario: s, archive: newArchive(), without: without}
}

// off reports whether a rule is left out.
func (m *model) off(r rule) bool { return m.without&r != 0 }

// note describes an event to say. Digests become descriptions.
func (m *model) note(format string, args ...any) {
	if m.say == nil {
		return
	}
	for i, arg := range args {
		if d, ok := arg.(digest); ok {
			args[i] = m.describe(d)
		}
	}
	m.say(fmt.Sprintf(format, args...))
}

// start is the world before anything: handler A has the partition.
func (m *model) start() world {
	w := world{left: m.faults}
	m.processor(&w, 0).assign()
	return w
}

// Deed is a kind of event.
type Deed uint8

// The deeds.
const (
	Takes    Deed = iota // a command is delivered, decided, and its append sent
	Lands                // the oldest append reaches the log
	Fails                // the producer gives the oldest append up; the append may still land
	Hears                // the handler hears of the failure
	Retries              // the handler sends the failed records again
	Reads                // the state store folds the next record
	Assigns              // the group assigns the partition
	Lingers              // an append that nobody waits for lands
	Crashes              // the owner is killed, and starts again
	Recreate             // topic commands is deleted and created again
	Ticks                // a handler's clock moves
	Jumps                // a handler's clock goes back
	strays               // a message of an old session comes to the processor
	deeds
)

// action is a deed of a handler, or to a handler. at is the command of a Takes,
// the group's offset of an Assigns or Crashes, or the index of the append in the
// air.
type action struct {
	deed    Deed
	who, at uint8
}

// possible lists all actions that can happen next. The world is quiet when
// nothing must happen to the owner any more: zombies, appends without a waiter,
// and faults need never do anything.
func (m *model) possible(w *world, list []action) (all []action, quiet bool) {
	quiet = w.owner != 0
	for who := range uint8(2) {
		may := func(deed Deed, at uint8) { list = append(list, action{deed, who, at}) }
		will := func(deed Deed, at uint8) {
			may(deed, at)
			quiet = quiet && w.owner != who+1
		}
		m.possibleInTheAir(w, &w.handlers[who], may, will)
		if h := &w.handlers[who]; h.assigned {
			if h.next < m.endOf(h.topic) && m.comes(w, h.next) && m.processor(w, who).taken() < m.window {
				will(Takes, h.next)
				if m.off(sessionOnly) && !h.strayed && h.next+1 < m.endOf(h.topic) {
					may(strays, h.next+1)
				}
			}
			if h.folded != w.log {
				will(Reads, 0)
			}
			if h.retry {
				will(Retries, 0)
			}
		}
		if w.handlers[who].clock < m.Until {
			will(Ticks, 0)
		}
		if w.handlers[who].clock > 0 && w.left.jumps > 0 {
			may(Jumps, 0)
		}
		start := m.startOf(w.topic)
		if w.left.resets > 0 && start < w.committed && (w.owner == 0 || w.left.takeOvers > 0) {
			may(Assigns, start)
		}
		for next := w.committed; next <= m.reached(w); next++ {
			if w.owner == 0 || w.left.takeOvers > 0 {
				may(Assigns, next)
			}
			if w.owner == who+1 && w.left.crashes > 0 {
				may(Crashes, next)
			}
		}
	}
	if m.Recreated > 0 && w.topic == 0 {
		list = append(list, action{deed: Recreate})
	}
	return list, quiet
}

func (m *model) possibleInTheAir(w *world, h *handler, may, will func(Deed, uint8)) {
	first := true
	for at, f := range h.air {
		switch {
		case f.record == 0:
			return
		case f.state == failed:
			will(Hears, uint8(at))
		case f.state == astray && m.acceptable(w, f.record): // without this, such an append need never land
			may(Lingers, uint8(at))
		case f.state == flying && first:
			first = false
			will(Lands, uint8(at))
			if w.left.failures > 0 {
				may(Fails, uint8(at))
			}
		}
	}
}

// do carries an action out.
func (m *model) do(w *world, a action) {
	p := m.processor(w, a.who)
	r := p.air[a.at%maxAir].record // for the deeds about an append
	switch a.deed {
	case Takes:
		m.note("%s takes #%d", p.name(), a.at)
		p.take(a.at)
	case strays:
		m.note("%s takes #%d, which an old session had fetched", p.name(), a.at)
		p.strayed = true
		p.take(a.at)
	case Lands:
		p.drop(a.at)
		p.land(r)
		p.delivered(r)
	case Lingers:
		p.drop(a.at)
		p.land(r)
	case Fails:
		m.note("the producer of %s gives up %v", p.name(), r)
		w.left.failures--
		p.air[a.at].state = failed
		p.launch(flight{r, astray})
	case Hears:
		m.note("%s hears that %v failed", p.name(), r)
		p.drop(a.at)
		p.appendFailed(r)
	case Retries:
		m.note("%s sends again", p.name())
		p.sendAgain()
	case Reads:
		p.readBack()
	case Assigns:
		m.note("%s gets the partition, from #%d on", p.name(), a.at)
		if w.owner != 0 {
			w.left.takeOvers--
		}
		if a.at < w.committed {
			w.left.resets--
		}
		m.commit(w, a.at)
		p.assign()
	case Crashes:
		m.note("%s crashes; the group's offset is %d", p.name(), a.at)
		w.left.crashes--
		m.commit(w, a.at)
		p.endSession()
		p.folded = 0
		w.owner = 0
	case Ticks:
		p.clock++
		w.latest = max(w.latest, p.clock)
		m.note("the clock of %s shows %d", p.name(), p.clock)
		p.look()
	case Jumps:
		p.clock = 0
		w.left.jumps--
		m.note("the clock of %s goes back", p.name())
	case Recreate:
		m.note("topic commands is made anew")
		w.topic, w.owner, w.committed = 1, 0, m.startOf(1)
	}
	m.tidy(w)
}

// reached is the owner's mark. The group's offset follows at some time, and
// matters only when somebody gets the partition: so the offset is settled
// then.
func (m *model) reached(w *world) uint8 {
	if w.owner == 0 {
		return w.committed
	}
	return w.handlers[w.owner-1].marked
}

func (m *model) commit(w *world, next uint8) {
	w.committed = next
	for command := m.startOf(w.topic); command < next; command++ {
		if !m.hasOutcome(w, command) {
			m.Breaks(markedDone, "the group's offset is %d, and #%d has no outcome", next, command)
		}
	}
	m.checkKnown(w, next)
}

// acceptable reports whether the gate would accept a record now.
func (m *model) acceptable(w *world, r digest) bool {
	return m.accepts(&m.entries[w.log].streams[0][m.records[r].user], r)
}

// land appends a record to the log.
func (p processor) land(r digest) {
	if !p.acceptable(p.world, r) {
		p.note("%v lands, and counts for nothing", r)
		return
	}
	p.note("%v lands", r)
	p.checkAccepted(p.world, r)
	p.log = p.append(p.log, r)
}

// drop takes an append out of the air.
func (p processor) drop(at uint8) {
	copy(p.air[at:], p.air[at+1:])
	p.air[maxAir-1] = flight{}
}

// tidy makes worlds equal that differ in nothing visible.
func (m *model) tidy(w *world) {
	for i := range w.handlers {
		h := &w.handlers[i]
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

// lost reports whether the gate will never accept a record: the record doesn't
// follow from the stream's head.
func (m *model) lost(w *world, d digest) bool {
	if m.off(gate | gatePrev) {
		return false
	}
	head := m.entries[w.log].streams[0][m.records[d].user].head
	for d != 0 && m.records[d].prev != head {
		d = m.records[d].prev
	}
	return d == 0
}
