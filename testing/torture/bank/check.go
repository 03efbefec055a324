package bank

import (
	"cmp"
	"strings"

	"example.com/bank/handlers/transfers"
	"github.com/millrace/millrace/router/eventlog"
)

// Report is the result of the checker.
type Report struct {
	Violations []Violation
	// Accepted records count. Ignored records came too late for their sequence
	// number. Hostile records are late records of the run's intruder.
	Accepted, Ignored, Hostile int
	// Sends is the number of commands of the reaction, and Timers of commands that
	// waited for a time. Fired are those that were not cancelled.
	Sends, Timers, Fired int
	// Parked is the number of times that a stream was parked in a reaction.
	Parked int
	// Transfers are the numbers of transfers by their end.
	Transfers map[transfers.Status]int
	// Claimed is the number of times that a number was taken.
	Claimed int
	// Published is the number of messages in public topics, and Repeats of those
	// that were repeats.
	Published, Repeats int
}

// Check compares the requests of the clients with the log and the public topic.
func Check(h *History, log *Log) *Report {
	f, wrong := foldLog(log)
	wrong = append(wrong, f.checkSends()...)
	wrong = append(wrong, f.checkOrder()...)
	wrong = append(wrong, f.checkCommands(h.Commands)...)
	wrong = append(wrong, f.checkTransfers()...)
	wrong = append(wrong, f.checkSum()...)
	wrong = append(wrong, f.checkMoney(h.Reads)...)
	wrong = append(wrong, f.checkTimers(h.Commands)...)
	wrong = append(wrong, f.checkClaims()...)
	wrong = append(wrong, f.checkNumbers(h.Commands)...)
	wrong = append(wrong, f.checkPublished()...)
	r := &Report{Violations: wrong, Accepted: len(f.entries), Ignored: f.ignored, Hostile: len(log.Hostile), Sends: len(f.sends), Transfers: map[transfers.Status]int{}}
	for _, e := range f.entries {
		switch {
		case e.Type == valueTaken && strings.HasPrefix(e.Stream, "unique/"):
			r.Claimed++
		case e.Type == causeParked && strings.HasPrefix(e.Stream, "reaction/"):
			r.Parked++
		case e.Type == eventlog.TypeCommandScheduled:
			r.Timers++
			for _, end := range f.ends(key{e.Stream, e.CommandID}) {
				if end.slug() != "command-cancelled" {
					r.Fired++
				}
			}
		}
	}
	for _, stream := range f.of(transfers.Aggregate) {
		r.Transfers[f.transfer(stream).Status]++
	}
	for _, of := range log.Published {
		seen := map[string]bool{}
		for _, p := range of {
			if seen[p.ID] {
				r.Repeats++
			}
			seen[p.ID] = true
			r.Published++
		}
	}
	return r
}

// byKey sorts commands by stream and id.
func byKey(a, b key) int {
	return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.id, b.id))
}
