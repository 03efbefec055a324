package decider

import (
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// The methods in this file need the processor's lock and a claim: while
// claimed is nil, nothing is speculated.

// job is a command under way in a claim.
type job struct {
	envelope eventlog.Envelope
	command  aggregate.AnyCommand
	at       eventlog.CommandPosition
	record   *eventlog.Record // nil if the command needs none
	trace    string           // of the decision, "" without tracing
	deferred bool             // the command is one of the stream's deferred commands
	forgets  bool             // behind this job, the stream forgets its oldest outcomes
	failed   bool             // the append has failed, or waits behind a failed append
	done     bool
}

// speculation is a stream's speculative state: what the stream will be once
// the appends of the jobs are read back.
type speculation struct {
	cached   *cachedStream // pinned
	stream   stream        // without outcomes
	jobs     []*job
	deferred int // jobs of deferred commands
}

// typeOf is the type of a command of the speculation, "" for a command that is
// not among the jobs.
func (sp *speculation) typeOf(commandID string) string {
	if sp != nil {
		for _, j := range sp.jobs {
			if j.envelope.ID == commandID {
				return j.envelope.Type
			}
		}
	}
	return ""
}

// speculationOf is a stream's speculation. A new speculation begins with the
// stream that the state store has.
func (p *processor) speculationOf(c *cachedStream) *speculation {
	sp := p.claimed.speculations[c.name]
	if sp == nil {
		sp = &speculation{cached: p.pin(c.name)}
		if c.stream != nil {
			sp.stream = c.stream.copied()
		}
		p.claimed.speculations[c.name] = sp
	}
	return sp
}

// execute decides a job's command on top of a speculation, and sends the
// record. A command that has its outcome below the job gets no record.
func (p *processor) execute(sp *speculation, j *job) {
	c := p.claimed
	sp.jobs = append(sp.jobs, j)
	j.record, j.trace, j.failed = nil, "", false
	if !j.deferred && p.repeats(sp, j) {
		return
	}
	traced := c.tracer != nil && j.envelope.Trace != ""
	var began time.Time
	if traced {
		began = time.Now()
	}
	var r eventlog.Record
	if j.deferred {
		r = decideDeferred(p.registry, &sp.stream)
	} else {
		r = decide(p.registry, &sp.stream, &j.envelope, j.command, j.at)
	}
	j.record = &r
	if traced {
		j.trace = c.tracer.Decided(&j.envelope, &r, began)
	}
	// The speculation folds the record as the state store will. Only the
	// outcomes, which are many, stay out: repeats works out their fate.
	sp.stream.fold(p.registry, j.record, 0)
	j.forgets = !j.deferred && sp.stream.deferred == nil
	if c.retry != nil {
		j.failed = true // behind the failed appends, and sent with these
		return
	}
	p.send(j)
}

// repeats says whether a job's command will have its outcome once all records
// of the jobs below are read back. The answer doesn't depend on how far the
// state store has folded: each delivery of the command finds the same.
func (p *processor) repeats(sp *speculation, j *job) bool {
	if sp.stream.hasDecided(j.at) {
		return true
	}
	if j.envelope.Origin != nil { // the speculation has the fence
		return sp.stream.fences.Repeats(j.envelope.Origin)
	}
	known, behind := false, 0 // the outcomes behind the command's own
	if s := sp.cached.stream; s != nil {
		if n, found := s.index(j.envelope.ID); found {
			known, behind = true, int(s.outcomes.to-1-n)
		}
	}
	for _, earlier := range sp.jobs {
		switch {
		case earlier.record == nil, earlier.deferred, earlier.envelope.Origin != nil: // no outcome of another client's command
			continue
		case earlier.envelope.ID == j.envelope.ID:
			known, behind = true, 0
		default:
			behind++
		}
		if earlier.forgets && behind >= p.remember {
			known = false
		}
	}
	return known
}

// accepted lets the jobs of a stream go on, after the gate has accepted a
// record of the stream.
func (p *processor) accepted(c *cachedStream, r *eventlog.Record) {
	sp := p.claimed.speculations[r.Stream]
	p.claimed.meter.Decided(sp.typeOf(r.CommandID), r)
	if sp == nil {
		p.resume(c)
		return
	}
	if first := sp.jobs[0]; first.record == nil || first.record.Digest != r.Digest {
		p.reexecute(sp)
	}
	p.advance(sp)
	p.mark()
}

// reexecute decides all commands of a speculation again, after another
// writer's record has taken the sequence number of the first.
func (p *processor) reexecute(sp *speculation) {
	jobs := sp.jobs
	*sp = speculation{cached: sp.cached, stream: sp.cached.stream.copied()}
	for _, j := range jobs {
		if j.deferred {
			p.claimed.deferred--
			p.resumeDeferred(sp, j)
		} else {
			p.execute(sp, j)
		}
	}
}

// resume goes on with a stream that has no speculation, if the stream's
// deferred commands may go on.
func (p *processor) resume(c *cachedStream) {
	if c.stream.resuming(p.registry) {
		p.advance(p.speculationOf(c))
	}
}

// advance completes the first jobs of a speculation whose commands have their
// outcome, and executes the deferred commands that may go on, in order, as
// many as there is room for. A command that is parked again stops the rest.
func (p *processor) advance(sp *speculation) {
	c := p.claimed
	for len(sp.jobs) > 0 && p.isDone(sp) {
		p.complete(sp)
	}
	for !c.closing && sp.stream.resuming(p.registry) && (c.deferred < c.maxDeferred || sp.deferred == 0) {
		next := &sp.stream.deferred.first
		if !p.resumeDeferred(sp, &job{envelope: next.Envelope, at: next.At, deferred: true}) {
			break
		}
	}
	if len(sp.jobs) == 0 {
		delete(c.speculations, sp.cached.name)
		p.unpin(sp.cached)
	}
}

// resumeDeferred executes a deferred command on top of a speculation, if the
// command is the next to go on there. Otherwise the command has ended
// elsewhere, or waits again, and the job falls out.
func (p *processor) resumeDeferred(sp *speculation, j *job) bool {
	if j.record = nil; !sp.stream.resumes(p.registry, j.envelope.ID) {
		return false
	}
	p.execute(sp, j)
	p.claimed.deferred++
	sp.deferred++
	return true
}

// isDone says whether the state store has the outcome of the first job of a
// speculation.
func (p *processor) isDone(sp *speculation) bool {
	j, s := sp.jobs[0], sp.cached.stream
	if j.deferred {
		return !s.resumes(p.registry, j.envelope.ID)
	}
	return s.knows(&j.envelope, j.at)
}

// complete takes the first job off a speculation.
func (p *processor) complete(sp *speculation) {
	j := sp.jobs[0]
	j.done = true
	sp.jobs = sp.jobs[1:]
	if j.deferred {
		p.claimed.deferred--
		sp.deferred--
	}
	if j.failed && len(sp.jobs) > 0 {
		sp.jobs[0].failed = true
	}
}
