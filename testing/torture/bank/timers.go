package bank

import (
	"maps"
	"slices"
	"time"

	"example.com/bank/reactions/transferring"
	"github.com/millrace/millrace/router/eventlog"
)

// skew is how far the clocks of a machine's processes may differ, and the
// resolution of times in the log.
const skew = 20 * time.Millisecond

// checkTimers checks that each command for a later time has ended once, with that
// time in its record, and not before that time.
func (f *fold) checkTimers(sent []Sent) (wrong []Violation) {
	later := map[key]time.Time{}
	for i := range sent {
		if s := &sent[i]; !s.NotBefore.IsZero() {
			later[key{s.User, s.CommandID}] = s.NotBefore
		}
	}
	for cause, s := range f.sends {
		if !s.NotBefore.IsZero() {
			origin := eventlog.Origin{Reaction: transferring.Reaction.Name, Cause: cause}
			later[key{s.stream, origin.CommandID()}] = s.NotBefore
		}
	}
	for k, records := range f.ofCommand {
		if records[0].Type == eventlog.TypeCommandScheduled && later[k].IsZero() {
			wrong = append(wrong, violation("scheduled for nobody", "%s", records[0]))
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(later), byKey) {
		wrong = append(wrong, f.checkTimer(k, later[k])...)
	}
	return wrong
}

func (f *fold) checkTimer(k key, notBefore time.Time) (wrong []Violation) {
	records, ends := f.ofCommand[k], f.ends(k)
	if len(records) == 0 {
		return nil // a client's command without an answer
	}
	switch scheduled := records[0].Type == eventlog.TypeCommandScheduled; {
	case len(ends) == 0:
		return append(wrong, violation("a timer never fired", "%s, for %s", records[0], eventlog.FormatTime(notBefore)))
	case len(ends) > 1:
		return append(wrong, violation("a timer fired twice", "%v", ends))
	case !scheduled && ends[0].Time.Before(notBefore):
		return append(wrong, violation("a timer fired early", "%s has the time %s, and waits for %s", ends[0], eventlog.FormatTime(ends[0].Time), eventlog.FormatTime(notBefore)))
	case scheduled && !ends[0].Time.Equal(notBefore):
		return append(wrong, violation("a timer's record has another time", "%s has the time %s, and waits for %s", ends[0], eventlog.FormatTime(ends[0].Time), eventlog.FormatTime(notBefore)))
	}
	at, known := f.Appended[Place{Partition: ends[0].Partition, Offset: ends[0].Offset}]
	if known && ends[0].slug() != "command-cancelled" && at.Add(skew).Before(notBefore) {
		wrong = append(wrong, violation("a timer fired early", "%s is in the log at %s, and waits for %s", ends[0], eventlog.FormatTime(at), eventlog.FormatTime(notBefore)))
	}
	return wrong
}
