package decider

import (
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
)

// The methods in this file need the processor's lock and an assignment: while
// assigned is nil, nothing is speculated.

// job is a command under way in an assignment.
type job struct {
	envelope eventlog.Envelope
	command  aggregate.AnyCommand
	at       eventlog.CommandPosition
	record   *eventlog.Record // nil if the command needs none
	trace    string           // of the decision, "" without tracing
	from     source           // where the command waited
	forgets  bool             // behind this job, the stream forgets its oldest outcomes
	failed   bool             // the append has failed, or waits behind a failed append
	done     bool
}

// source says where a command waited for its decision.
type source uint8

const (
	fromTopic source = iota
	fromQueue        // one of the stream's deferred commands
	fromTimer        // one of the stream's scheduled commands
)

// speculation is a stream's speculative state: what the stream will be once
// the appends of the jobs are read back.
type speculation struct {
	cached   *cachedStream // pinned
	stream   stream        // without outcomes
	jobs     []*job
	deferred int // jobs of deferred commands
	due      int // jobs of scheduled commands
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
	sp := p.assigned.speculations[c.name]
	if sp == nil {
		sp = &speculation{cached: p.pin(c.name)}
		if c.stream != nil {
			sp.stream = c.stream.copied()
		}
		p.assigned.speculations[c.name] = sp
	}
	return sp
}

// execute decides a job's command on top of a speculation, and sends the
// record. A command that has its outcome below the job gets no record.
func (p *processor) execute(sp *speculation, j *job) {
	c := p.assigned
	sp.jobs = append(sp.jobs, j)
	j.record, j.trace, j.failed = nil, "", false
	if j.from == fromTopic && p.repeats(sp, j) {
		return
	}
	traced := c.tracer != nil && j.envelope.Trace != ""
	var began time.Time
	if traced {
		began = time.Now()
	}
	var r eventlog.Record
	switch j.from {
	case fromQueue:
		r = decideDeferred(p.registry, &sp.stream)
	case fromTimer:
		r = decideDue(p.registry, &sp.stream)
	default:
		r = decide(p.registry, &sp.stream, &j.envelope, j.command, j.at)
	}
	j.record = &r
	if traced {
		j.trace = c.tracer.Decided(&j.envelope, &r, began)
	}
	// The speculation folds the record as the state store will. Only the
	// outcomes, which are many, stay out: repeats works out their fate.
	sp.stream.fold(p.registry, j.record, 0)
	j.forgets = j.from == fromTopic && sp.stream.deferred == nil
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
	if sp.stream.schedule.find(j.envelope.ID) != nil {
		return true
	}
	known, behind := false, 0 // the outcomes behind the command's own
	if s := sp.cached.stream; s != nil {
		if n, found := s.index(j.envelope.ID); found {
			known, behind = true, int(s.outcomes.to-1-n)
		}
	}
	for _, earlier := range sp.jobs {
		switch {
		case earlier.record == nil, earlier.from == fromQueue, earlier.envelope.Origin != nil: // no outcome of another client's command
			continue
		case earlier.record.Type == eventlog.TypeCommandScheduled: // the outcome is in the schedule
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
	sp := p.assigned.speculations[r.Stream]
	p.assigned.meter.Decided(sp.typeOf(r.CommandID), r)
	p.warnOfParked(r)
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
		if j.from == fromTopic {
			p.execute(sp, j)
			continue
		}
		p.assigned.count(j.from, -1)
		p.goOn(sp, j)
	}
}

// resume goes on with a stream that has no speculation, if the stream's
// deferred or scheduled commands may go on.
func (p *processor) resume(c *cachedStream) {
	if c.stream.resuming(p.registry) || p.hasDue(c.stream) {
		p.advance(p.speculationOf(c))
	}
}

// advance completes the first jobs of a speculation whose commands have their
// outcome, and executes the deferred commands that may go on, in order, as
// many as there is room for. A command that is parked again stops the rest. Due
// commands are executed on top.
func (p *processor) advance(sp *speculation) {
	c := p.assigned
	for len(sp.jobs) > 0 && p.isDone(sp) {
		p.complete(sp)
	}
	for !c.closing && sp.stream.resuming(p.registry) && (c.deferred < c.maxDeferred || sp.deferred == 0) {
		next := &sp.stream.deferred.first
		if !p.goOn(sp, &job{envelope: next.Envelope, at: next.At, from: fromQueue}) {
			break
		}
	}
	p.ring(sp)
	if len(sp.jobs) == 0 {
		delete(c.speculations, sp.cached.name)
		p.unpin(sp.cached)
	}
}

// goOn executes a deferred or scheduled command on top of a speculation, if the
// command is the next to go on there. Otherwise the command has ended
// elsewhere, or waits again, and the job falls out.
func (p *processor) goOn(sp *speculation, j *job) bool {
	j.record = nil
	if j.from == fromQueue && !sp.stream.resumes(p.registry, j.envelope.ID) || j.from == fromTimer && !p.isDue(&sp.stream, j.at) {
		return false
	}
	p.execute(sp, j)
	p.assigned.count(j.from, 1)
	sp.count(j.from, 1)
	return true
}

// count counts the jobs that don't come from the topic.
func (c *assigned) count(from source, n int) {
	switch from {
	case fromQueue:
		c.deferred += n
	case fromTimer:
		c.due += n
	}
}

func (sp *speculation) count(from source, n int) {
	switch from {
	case fromQueue:
		sp.deferred += n
	case fromTimer:
		sp.due += n
	}
}

// isDone says whether the state store has the outcome of the first job of a
// speculation.
func (p *processor) isDone(sp *speculation) bool {
	j, s := sp.jobs[0], sp.cached.stream
	switch j.from {
	case fromQueue:
		return !s.resumes(p.registry, j.envelope.ID)
	case fromTimer:
		return s.schedule.at(j.envelope.ID, j.at) == nil
	}
	return s.knows(&j.envelope, j.at)
}

// complete takes the first job off a speculation.
func (p *processor) complete(sp *speculation) {
	j := sp.jobs[0]
	j.done = true
	sp.jobs = sp.jobs[1:]
	p.assigned.count(j.from, -1)
	sp.count(j.from, -1)
	if j.failed && len(sp.jobs) > 0 {
		sp.jobs[0].failed = true
	}
}
