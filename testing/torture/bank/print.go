package bank

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// mends are the rules that time may mend: something is still under way.
var mends = []string{
	"a reaction's command is lost", "a timer never fired", "transfer not ended", "lost", "not published", "not taken", "claimed for ever",
}

// UnderWay says whether time may mend a violation.
func (r *Report) UnderWay() bool {
	return slices.ContainsFunc(r.Violations, func(v Violation) bool { return slices.Contains(mends, v.Rule) })
}

// Print prints what the checker counted.
func (r *Report) Print(w io.Writer, operations int, took time.Duration) {
	fmt.Fprint(w, "\ntransfers:")
	for _, status := range slices.Sorted(maps.Keys(r.Transfers)) {
		fmt.Fprintf(w, " %d %s", r.Transfers[status], status)
	}
	fmt.Fprintf(w, "\n%d commands of the reaction took effect; %d commands waited for their time, %d fired; numbers were taken %d times; %d public messages, %d of them repeats\n",
		r.Sends, r.Timers, r.Fired, r.Claimed, r.Published, r.Repeats)
	if r.Parked > 0 {
		fmt.Fprintf(w, "streams were parked in reactions %d times\n", r.Parked)
	}
	fmt.Fprintf(w, "\n%d operations in %s; %d records count, %d came too late for their sequence number, and %d of the intruder's\n",
		operations, took.Round(time.Second), r.Accepted, r.Ignored, r.Hostile)
}
