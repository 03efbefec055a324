package runner

import (
	"slices"

	"github.com/millrace/millrace/router/eventlog"
)

// target is a stream that commands go to.
type target struct {
	highest eventlog.Cause
	open    map[string]eventlog.Cause
	effects []*eventlog.Envelope
}

// land is the fence, as package testing/protocol/fence has it.
func (t *target) land(e *eventlog.Envelope) {
	at, subject := e.Origin.Cause, e.Origin.Subject
	before := t.highest
	if own, apart := t.open[subject]; apart {
		before = own
	}
	if at.Compare(before) <= 0 {
		return
	}
	t.effects = append(t.effects, e)
	if at.Compare(t.highest) > 0 {
		for _, s := range e.Origin.Open {
			if _, apart := t.open[s]; !apart {
				t.open[s] = t.highest
			}
		}
		for s := range t.open {
			if !slices.Contains(e.Origin.Open, s) {
				delete(t.open, s)
			}
		}
		t.highest = at
	}
	if _, apart := t.open[subject]; apart {
		t.open[subject] = at
	}
}
