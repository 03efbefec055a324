package hostile

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/router/eventlog"
)

// maxAhead is how many records the cause of a late record may be ahead.
const maxAhead = 200

// Late is a record that doesn't count, for one that counts, of a reaction's
// command: a process that came too late has decided one of the reaction's next
// commands. The command is not decided yet, so the record must move no fence.
func (g *Generator) Late(counts *eventlog.Record) *kgo.Record {
	r, origin := *counts, *counts.Origin
	origin.Cause.Offset += 1 + g.rng.Int64N(maxAhead)
	r.Origin, r.CommandID, r.CommandHash = &origin, origin.CommandID(), origin.CommandID()
	r.Seal()
	return mark(g.record(eventlog.TopicEvents, r.Stream, r.Headers(), r.Body), Ignored, "late")
}
