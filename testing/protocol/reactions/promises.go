package reactions

import "github.com/millrace/millrace/testing/protocol/fence"

// The promises that a search checks.
const (
	once        = "what a reaction sends takes effect once"
	inOrder     = "the commands of a cause stream take effect in order"
	nothingLost = "no command of a reaction is lost"
	notBefore   = "a new reaction answers nothing from before its start"
	countsOnly  = "only records that count are answered"
)

// checkEffect checks a command that is about to take effect.
func (m *model) checkEffect(w *world, c command) {
	cause := &m.Causes[causeOf(c.place)]
	original := c.place
	if cause.Copy > 0 {
		original = placeOf(cause.Copy-1, numberOf(c.place))
	}
	if w.effects&(1<<original) != 0 {
		m.Breaks(once, "%s takes effect again", m.text(c))
	}
	if cause.Copy > 0 {
		m.Breaks(countsOnly, "%s, of a copy", m.text(c))
	}
	for p := original + 1; int(causeOf(p)) < len(m.Causes); p++ {
		if later := &m.Causes[causeOf(p)]; w.effects&(1<<p) != 0 && later.Stream == cause.Stream && later.Targets[numberOf(p)] == c.target+1 {
			m.Breaks(inOrder, "%s comes after cause %d", m.text(c), causeOf(p))
		}
	}
	if causeOf(c.place) < m.startOf(w) {
		m.Breaks(notBefore, "%s", m.text(c))
	}
	w.effects |= 1 << original
}

// startOf is the place where the reaction starts, by the first record of the
// reaction's stream.
func (m *model) startOf(w *world) uint8 {
	first := w.point
	if m.Ends == [2]uint8{} || first == 0 {
		return 0
	}
	for m.points[first].before != 0 {
		first = m.points[first].before
	}
	return m.points[first].next
}

// checkQuiet checks a world in which nothing must happen any more.
func (m *model) checkQuiet(w *world) {
	for cause := m.startOf(w); int(cause) < len(m.Causes); cause++ {
		c := &m.Causes[cause]
		for n, target := range c.Targets {
			if target > 0 && c.Copy == 0 && w.skipped&fence.Bit(cause) == 0 && w.effects&(1<<placeOf(cause, uint8(n))) == 0 {
				m.Breaks(nothingLost, "command %d of cause %d never takes effect", n, cause)
			}
		}
	}
}
