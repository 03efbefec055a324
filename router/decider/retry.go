package decider

import (
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
)

// retryAfter is how long a failed append waits before it is sent again.
const retryAfter = 250 * time.Millisecond

// appendFailed sends again, after a while, what failed and what is stacked on
// it: the same records, so that it doesn't matter if Kafka holds some already.
// What is stacked on it may have come to the log before it, and counts for
// nothing then. So that goes again even if the record itself turns out to
// count: another writer's copy may, or its own, late.
func (d *desk) appendFailed(j *job, r *eventlog.Record, err error) {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	st := d.stacks[j.command.Stream]
	if j.record != r || st == nil || d.finished() {
		return
	}
	if j.done {
		j = st.jobs[0]
	}
	j.failed = true
	if d.retry == nil {
		d.log.Warn("can't append to the log; trying again", "partition", d.claim.Partition, "stream", r.Stream, "command", r.CommandID, eventlog.TraceAttr(r.Trace), "error", err)
		d.retry = time.AfterFunc(retryAfter, d.retryDue)
	}
}

// retryDue sends again once the producer has given up, or delivered, all it
// was given: copies that are sent while others are under way would pile up.
// Meanwhile nothing is sent, so that time comes.
func (d *desk) retryDue() {
	if d.unacked.Load() == 0 {
		d.sendAgain()
		return
	}
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	if d.retry != nil && !d.finished() {
		d.retry.Reset(retryAfter)
	}
}

func (d *desk) sendAgain() {
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	d.retry = nil
	if d.finished() {
		return
	}
	for _, st := range d.stacks {
		i := slices.IndexFunc(st.jobs, func(j *job) bool { return j.failed })
		if i < 0 {
			continue
		}
		for _, j := range st.jobs[i:] {
			if j.record != nil {
				j.failed = false
				d.send(j)
			}
		}
	}
}
