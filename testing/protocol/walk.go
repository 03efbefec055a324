package protocol

import (
	"iter"
	"math/rand/v2"
)

// Step is one deed of a walk, and the handlers' answer.
type Step struct {
	Deed Deed
	// Who is the handler of the deed.
	Who int
	// At is the command of a Takes, or the group's offset of an Assigns or
	// Crashes: a place in the scenario's commands.
	At int
	// Append is the append that lands or fails.
	Append Append
	// Accepted says whether the gate accepts the record that lands.
	Accepted bool
	// Sent are the appends of the handler Who in answer, in order.
	Sent []Append
	// Marked is, for each handler, the place of the first command that the
	// session has not marked.
	Marked [2]int
	// Text is the step in words.
	Text []string
}

// Append is a record that a handler appends. ID and Prev stand for digests:
// equal records have equal numbers, and 0 stands before the first record.
type Append struct {
	ID, Prev     int
	Command      int
	Seq, Version int
}

// Walk goes a random way through a scenario, the same way for the same seed. A
// test can lead real processors along the steps.
func Walk(s *Scenario, seed uint64) iter.Seq[Step] {
	return func(yield func(Step) bool) {
		m := newModel(s, 0)
		luck := rand.New(rand.NewPCG(seed, 0))
		w := m.start()
		var now Step
		m.sent = func(d digest) { now.Sent = append(now.Sent, m.export(d)) }
		m.say = func(text string) { now.Text = append(now.Text, text) }
		for {
			actions, _ := m.possible(&w, nil)
			if len(actions) == 0 {
				return
			}
			a := actions[luck.IntN(len(actions))]
			if rare := a.deed == Assigns || a.deed == Crashes || a.deed == Recreate; rare && w.owner != 0 && luck.IntN(4) > 0 {
				if len(actions) == 1 {
					return
				}
				continue
			}
			now = Step{Deed: a.deed, Who: int(a.who), At: int(a.at)}
			switch a.deed {
			case Lands, Lingers, Fails, Hears:
				now.Append = m.export(w.handlers[a.who].air[a.at].record)
			}
			before := w.log
			m.do(&w, a)
			now.Accepted = w.log != before
			for i := range w.handlers {
				now.Marked[i] = int(w.handlers[i].marked)
			}
			if !yield(now) {
				return
			}
		}
	}
}

func (m *model) export(d digest) Append {
	r := &m.records[d]
	return Append{ID: int(d), Prev: int(r.prev), Command: int(r.command), Seq: int(r.seq), Version: int(r.version)}
}
