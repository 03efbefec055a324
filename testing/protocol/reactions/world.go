package reactions

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/millrace/millrace/testing/protocol/explore"
	"github.com/millrace/millrace/testing/protocol/fence"
)

// world is a state of everything.
type world struct {
	effects   uint16 // a bit for each command that has taken effect
	point     point  // the reaction's stream
	skipped   uint8  // a bit for each skipped cause
	owner     uint8  // the process that has the partition, plus one
	marked    uint8  // of a search with the group's offset: the furthest mark
	targets   [targets]fence.Fence
	processes [2]process
	late      [maxLate]command
	lateNotes [2]note
	left      faults
}

// model is a scenario, and the rules of a search.
type model struct {
	*Scenario
	history
	explore.Promises
	without rule
	tell    func(string)               // hears of events, if not nil
	landed  func(uint8, fence.Command) // hears of commands that come to a target, if not nil
}

func newModel(s *Scenario, without rule) *model {
	return &model{Scenario: s, history: newHistory(), without: without}
}

func (m *model) off(r rule) bool { return m.without&r != 0 }

func (m *model) say(format string, args ...any) {
	if m.tell != nil {
		m.tell(fmt.Sprintf(format, args...))
	}
}

// start is the world before anything: process A has the partition.
func (m *model) start() world {
	w := world{left: m.faults}
	if m.Ends == [2]uint8{} {
		w.point = m.add(0, checkpoint{started: true})
	}
	m.runner(&w, 0).begin(0)
	return w
}

// deed is a kind of event.
type deed uint8

const (
	answers   deed = iota // a process decides the commands of the next cause, and sends them
	goesOn                // … of an open cause stream that goes on
	panicking             // the reaction fails at a cause, and the process parks the cause
	lands                 // a command reaches its target, is decided, and acknowledged
	fails                 // a send is given up
	retries               // a process sends its failed commands again
	lingers               // a command that nobody waits for reaches its target
	notes                 // a process sends a note of its progress, or of its start
	noteLands             // a process's note is decided
	noteLate              // a note that nobody waits for is decided
	reads                 // a process reads the next record of the reaction's stream
	retried               // an operator retries a parked cause
	skipped               // an operator skips a parked cause
	begins                // the group assigns the partition
	crashes               // the owner is killed
	deeds
)

// action is a deed. at is a cause, a stream, a job, or an index.
type action struct {
	deed    deed
	who, at uint8
}

// possible lists all actions that can happen next.
func (m *model) possible(w *world, list []action) (all []action, quiet bool) {
	quiet = w.owner != 0
	for who := range uint8(len(w.processes)) {
		may := func(d deed, at uint8) { list = append(list, action{d, who, at}) }
		will := func(d deed, at uint8) {
			may(d, at)
			quiet = quiet && w.owner != who+1
		}
		r := m.runner(w, who)
		if r.running {
			r.possible(may, will)
			if w.left.crashes > 0 && w.owner == who+1 {
				may(crashes, 0)
			}
		}
		if w.owner == 0 || w.left.takeOvers > 0 {
			may(begins, 0)
			if m.off(noted) && w.marked > 0 {
				may(begins, w.marked)
			}
		}
	}
	for i, c := range w.late {
		if c.place > 0 {
			list = append(list, action{lingers, 0, uint8(i)})
		}
	}
	for i, n := range w.lateNotes {
		if n.kind > none {
			list = append(list, action{noteLate, 0, uint8(i)})
		}
	}
	for s, o := range m.points[w.point].open {
		if o.state == parked {
			quiet = false
			list = append(list, action{retried, 0, uint8(s)})
			if w.left.skips > 0 {
				list = append(list, action{skipped, 0, uint8(s)})
			}
		}
	}
	return list, quiet
}

// possible lists what a running process can do.
func (r runner) possible(may, will func(deed, uint8)) {
	c := r.checkpoint()
	if r.known != r.point {
		will(reads, 0)
	}
	if r.note.kind > none {
		will(noteLands, 0)
	}
	first := [targets]bool{}
	for i, j := range r.jobs[:r.length()] {
		if j.state == failed {
			will(retries, 0)
		}
		if j.state != flying || first[j.target] {
			continue
		}
		first[j.target] = true
		will(lands, uint8(i))
		if r.left.failures > 0 {
			may(fails, uint8(i))
		}
	}
	if !c.started {
		if r.note.kind == none {
			will(notes, 0)
		}
		if r.off(startNoted) && r.next == 0 {
			r.next = r.Ends[r.who] - 1
		} else if !r.off(startNoted) {
			return
		}
	}
	if !r.room() {
		return
	}
	if int(r.next) < len(r.Causes) {
		will(answers, r.next)
		r.mayFail(r.next, may)
	}
	for s, o := range c.open {
		if o.state != goingOn {
			continue
		}
		if next := r.nextOf(uint8(s)); next < r.next {
			will(goesOn, next)
			r.mayFail(next, may)
		}
	}
	if n := r.progress(); c.started && r.note.kind == none {
		then, changed := r.decide(c, n)
		switch {
		case !changed:
		case then.open != c.open && then.closes(&c):
			will(notes, 0)
		case r.left.notes > 0:
			may(notes, 0)
		}
	}
}

func (c *checkpoint) closes(before *checkpoint) bool {
	for s := range c.open {
		if c.open[s].state == closed && before.open[s].state != closed {
			return true
		}
	}
	return false
}

func (r runner) mayFail(cause uint8, may func(deed, uint8)) {
	if o := r.checkpoint().open[r.Causes[cause].Stream]; o.state == parked && cause >= o.from {
		return
	}
	if r.Causes[cause].Fails && r.counts(cause) && r.left.panics > 0 && r.note.kind == none && r.checkpoint().started {
		may(panicking, cause)
	}
}

// do carries an action out.
func (m *model) do(w *world, a action) {
	r := m.runner(w, a.who)
	switch a.deed {
	case answers:
		r.beginsAtOwnEnd()
		m.say("%s comes to cause %d", r.name(), r.next)
		if cause := r.next; r.counts(cause) && !r.waits(cause) {
			r.answer(cause)
		}
		r.next++
	case goesOn:
		stream := m.Causes[a.at].Stream
		m.say("%s answers cause %d, which waited", r.name(), a.at)
		r.answer(a.at)
		r.from[stream] = a.at + 1
	case panicking:
		w.left.panics--
		if o := r.checkpoint().open[m.Causes[a.at].Stream]; m.off(parkEarlier) && o.state == parked && a.at < o.from {
			m.say("%s fails at cause %d, and passes over it", r.name(), a.at)
			r.next++
			break
		}
		m.say("%s fails at cause %d, and parks it", r.name(), a.at)
		r.note = note{kind: parks, version: r.checkpoint().version + 1, stream: m.Causes[a.at].Stream, cause: a.at}
	case lands:
		c := r.jobs[a.at].command
		r.drop(a.at)
		r.send()
		m.decideAt(w, c)
	case fails:
		m.say("the producer of %s gives up %s", r.name(), m.text(r.jobs[a.at].command))
		w.left.failures--
		w.belate(r.jobs[a.at].command)
		r.jobs[a.at].state = failed
		if m.off(sentAgain) {
			r.drop(a.at)
			r.send()
		}
	case retries:
		m.say("%s sends its failed commands again", r.name())
		for i := range r.jobs {
			if r.jobs[i].state == failed {
				r.jobs[i].state = flying
			}
		}
	case lingers:
		c := w.late[a.at]
		w.late[a.at] = command{}
		m.say("late:")
		m.decideAt(w, c)
	case notes:
		c := r.checkpoint()
		if r.note = r.progress(); !c.started {
			r.note = note{kind: starts, version: c.version + 1, cause: m.Ends[a.who] - 1}
		} else if then, changed := m.decide(c, r.note); !changed || !then.closes(&c) {
			w.left.notes--
		}
		m.say("%s sends %+v", r.name(), r.note)
	case noteLands:
		n := r.note
		r.note = note{}
		m.decideNote(w, n)
	case noteLate:
		n := w.lateNotes[a.at]
		w.lateNotes[a.at] = note{}
		m.say("late:")
		m.decideNote(w, n)
	case reads:
		r.read()
	case retried:
		m.say("an operator retries stream %d", a.at)
		w.point = m.add(w.point, m.points[w.point].retry(a.at))
	case skipped:
		m.say("an operator skips a cause of stream %d", a.at)
		w.left.skips--
		w.skipped |= 1 << m.points[w.point].open[a.at].from
		w.point = m.add(w.point, m.points[w.point].skip(a.at))
	case begins:
		if w.owner != 0 {
			w.left.takeOvers--
		}
		r.stop()
		r.begin(a.at)
		m.say("%s begins at cause %d", r.name(), r.next)
	case crashes:
		m.say("%s crashes", r.name())
		w.left.crashes--
		r.stop()
		w.owner = 0
	}
	w.tidy()
	if m.off(noted) && r.running && w.owner == a.who+1 {
		w.marked = max(w.marked, r.progress().cause)
	}
}

// beginsAtOwnEnd begins where this process sees the log's end, without the rule.
func (r runner) beginsAtOwnEnd() {
	if r.off(startNoted) && !r.checkpoint().started && r.next == 0 {
		r.next = r.Ends[r.who] - 1
	}
}

func (m *model) decideNote(w *world, n note) {
	then, changed := m.decide(m.points[w.point].checkpoint, n)
	if !changed {
		m.say("the reaction's stream refuses %+v", n)
		return
	}
	m.say("the reaction's stream is %+v", then)
	w.point = m.add(w.point, then)
}

func (m *model) text(c command) string {
	return fmt.Sprintf("command %d of cause %d to %d (open %b)", numberOf(c.place), causeOf(c.place), c.target, c.open)
}

// belate lets a command land at any time, or never.
func (w *world) belate(c command) {
	if i := slices.Index(w.late[:], command{}); i >= 0 && !slices.Contains(w.late[:], c) {
		w.late[i] = c
	}
}

func (w *world) belateNote(n note) {
	if i := slices.Index(w.lateNotes[:], note{}); i >= 0 && !slices.Contains(w.lateNotes[:], n) {
		w.lateNotes[i] = n
	}
}

// tidy makes worlds equal that differ in nothing visible.
func (w *world) tidy() {
	slices.SortFunc(w.late[:], func(a, b command) int {
		return cmp.Or(cmp.Compare(b.place, a.place), cmp.Compare(b.open, a.open))
	})
	if w.lateNotes[0].kind == none {
		w.lateNotes[0], w.lateNotes[1] = w.lateNotes[1], note{}
	}
}
