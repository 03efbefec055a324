package runner

import (
	"github.com/millrace/millrace/router/decider/fence"
	"github.com/millrace/millrace/router/eventlog"
)

// target is a stream that commands go to.
type target struct {
	fences  fence.Fences
	effects []*eventlog.Envelope
}

// land decides a command: a repetition leaves no record.
func (t *target) land(e *eventlog.Envelope) {
	if t.fences.Repeats(e.Origin) {
		return
	}
	t.effects = append(t.effects, e)
	t.fences = t.fences.Fold(e.Origin)
}
