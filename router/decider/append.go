package decider

import (
	"slices"
	"time"

	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/logging"
)

// retryAfter is how long a failed append waits before the append is sent again.
const retryAfter = 250 * time.Millisecond

// send appends a job's record, and doesn't wait for the end of the append. The
// processor must have an assignment.
func (p *processor) send(j *job) {
	c, r, sent := p.assigned, j.record, time.Now()
	var traced func(error)
	if j.trace != "" {
		traced = c.tracer.Appending(r, j.trace)
	}
	c.unacked.Add(1)
	c.append(r, func(err error) {
		c.unacked.Add(-1)
		c.meter.Appended(time.Since(sent), err)
		if traced != nil {
			traced(err)
		}
		if err != nil {
			// Not here: the producer waits for this callback to return.
			go p.appendFailed(c, j, r, err)
		}
	})
}

// appendFailed sends a failed record, and the records of the jobs behind, again
// after a while. The records are unchanged, so Kafka may have some already.
//
// A record of a job behind may be in the log before the failed record, and the
// gate ignores the record there. So the jobs behind go again even if the failed
// record counts in the end: a copy of another writer may count, or the failed
// append itself, late.
func (p *processor) appendFailed(c *assigned, j *job, r *eventlog.Record, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sp := c.speculations[j.envelope.Stream]
	if p.assigned != c || j.record != r || sp == nil {
		return
	}
	if j.done {
		j = sp.jobs[0]
	}
	j.failed = true
	if c.retry == nil {
		p.log.Warn("can't append to the log; trying again", "partition", c.assignment.Partition, "stream", r.Stream, "command", r.CommandID, logging.Trace(r.Trace), "error", err)
		c.retry = time.AfterFunc(retryAfter, func() { p.retryDue(c) })
	}
}

// retryDue sends again once every append of the assignment has succeeded or
// failed: copies that are sent while others are under way would pile up.
// Meanwhile the assignment sends nothing, so this moment comes.
func (p *processor) retryDue(c *assigned) {
	if c.unacked.Load() == 0 {
		p.sendAgain(c)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.assigned == c && c.retry != nil {
		c.retry.Reset(retryAfter)
	}
}

// sendAgain sends the failed records, and all records behind these.
func (p *processor) sendAgain(c *assigned) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.assigned != c {
		return
	}
	c.retry = nil
	for _, sp := range c.speculations {
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
