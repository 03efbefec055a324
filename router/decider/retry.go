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
func (p *processor) appendFailed(j *job, r *eventlog.Record, err error) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	sp := p.speculations[j.envelope.Stream]
	if j.record != r || sp == nil || p.finished() {
		return
	}
	if j.done {
		j = sp.jobs[0]
	}
	j.failed = true
	if p.retry == nil {
		p.log.Warn("can't append to the log; trying again", "partition", p.claim.Partition, "stream", r.Stream, "command", r.CommandID, eventlog.TraceAttr(r.Trace), "error", err)
		p.retry = time.AfterFunc(retryAfter, p.retryDue)
	}
}

// retryDue sends again once the producer has given up, or delivered, all it
// was given: copies that are sent while others are under way would pile up.
// Meanwhile nothing is sent, so that time comes.
func (p *processor) retryDue() {
	if p.unacked.Load() == 0 {
		p.sendAgain()
		return
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	if p.retry != nil && !p.finished() {
		p.retry.Reset(retryAfter)
	}
}

func (p *processor) sendAgain() {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	p.retry = nil
	if p.finished() {
		return
	}
	for _, sp := range p.speculations {
		i := slices.IndexFunc(sp.jobs, func(j *job) bool { return j.failed })
		if i < 0 {
			continue
		}
		for _, j := range sp.jobs[i:] {
			if j.record != nil {
				j.failed = false
				p.send(j)
			}
		}
	}
}
