package protocol

import (
	"slices"

	"github.com/millrace/millrace/testing/protocol/fence"
)

// MaxDeferred bounds the deferred commands under way in a processor. Each user
// may have one in any case.
const MaxDeferred = 2

const (
	maxJobs = 7  // in a processor: the window, and deferred commands under way
	maxAir  = 24 // appends of a handler that have neither succeeded nor failed
)

// handler is one command service: its state store, and its processor of the
// partition, if the handler has the partition or still believes so. The
// state store is the fold of the log up to folded.
type handler struct {
	folded   log
	assigned bool
	topic    uint8 // of the session
	next     uint8 // the command of the next delivery
	marked   uint8 // all commands before are done
	strayed  bool
	retry    bool // failed appends wait for a retry
	clock    uint8
	here     uint8 // a bit for each command that the session has scheduled, without a rule
	jobs     [maxJobs]job
	air      [maxAir]flight
	seen     [users]fence.Fence // by what is sent, without a rule
}

// job is a command under way in a processor.
type job struct {
	record  digest // 0 if the command needs none
	command uint8  // the command's place in the scenario plus one, 0 for no job
	from    source
	failed  bool // the append has failed, or waits behind a failed append
	done    bool
}

// source says where a job's command waited.
type source uint8

const (
	fromTopic source = iota
	fromQueue        // one of the stream's deferred commands
	fromTimer        // one of the stream's scheduled commands
)

// flight is an append that has neither succeeded nor failed.
type flight struct {
	record digest
	state  state
}

type state uint16 // no padding: a search hashes worlds most of the time

const (
	flying state = iota // the append lands after the appends before
	failed              // the handler is about to hear of the failure
	astray              // nobody waits for the append, which lands at any time or never
)

// processor is a handler at work in a world.
type processor struct {
	*model
	*world
	*handler
	who    uint8
	binary *Binary
}

func (m *model) processor(w *world, who uint8) processor {
	return processor{m, w, &w.handlers[who], who, &m.Handlers[who]}
}

// stateOf is a user in this handler's state store.
func (p processor) stateOf(user uint8) *stream { return &p.entries[p.folded].streams[p.who][user] }

func (p processor) userOf(j *job) uint8 { return p.Commands[j.command-1].User }

// speculation is the jobs of a user that are under way, in order.
func (p processor) speculation(user uint8) []*job {
	jobs := make([]*job, 0, maxJobs)
	for i := range p.jobs {
		if j := &p.jobs[i]; j.command > 0 && !j.done && p.userOf(j) == user {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (p processor) add(j job) *job {
	i := slices.IndexFunc(p.jobs[:], func(j job) bool { return j.command == 0 })
	p.jobs[i] = j
	return &p.jobs[i]
}

// taken counts the commands from the topic that are under way.
func (p processor) taken() (n int) {
	for i := range p.jobs {
		if p.jobs[i].command > 0 && p.jobs[i].from == fromTopic {
			n++
		}
	}
	return n
}

// take takes a command into the processor.
func (p processor) take(command uint8) {
	p.next = command + 1
	j := p.add(job{command: command + 1})
	user := p.userOf(j)
	p.decide(j)
	p.finish(user)
	p.goOn(user)
	p.mark()
}

// goOn decides the commands of a stream that wait no longer.
func (p processor) goOn(user uint8) {
	p.resume(user)
	p.ring(user)
}

// decide gives a job its record, on top of the stream's speculative state, and
// sends the record. A command that has its outcome there gets no record, and
// neither does a deferred or scheduled command that isn't the next to go on.
func (p processor) decide(j *job) {
	user, command := p.userOf(j), j.command-1
	j.record, j.failed = 0, false
	top := p.top(user, j)
	switch {
	case j.from == fromQueue && (p.resumes(&top, command, p.binary) || p.off(deferredInTurn)):
	case j.from == fromTimer && p.due(&top, command, p.clock):
	case j.from != fromTopic, p.repeats(&top, j):
		return
	}
	from := &top
	if p.off(speculating) && j.from == fromTopic {
		from = p.stateOf(user)
	}
	r := record{user: user, command: command, seq: top.seq + 1, prev: top.head, version: top.version}
	r.time = p.timeOf(command, j.from)
	switch j.from {
	case fromQueue:
		r.kind, r.name = p.resumed(from, command, p.binary)
	case fromTimer:
		r.kind, r.name = p.duly(from, command, p.binary)
	default:
		r.kind, r.name = p.outcome(from, command, p.binary)
	}
	p.noteDecided(command, r.kind)
	if r.kind.event() {
		r.version++
	}
	if p.off(purity) {
		p.ticks++
		r.salt = p.ticks
	}
	j.record = p.digest(r)
	p.note("%s decides #%d: %v", p.name(), command, j.record)
	if p.retry {
		j.failed = true // behind the failed appends, and sent with these
		return
	}
	p.send(j.record)
}

// top is a user's speculative state below a job, or below nothing: with all
// jobs.
func (p processor) top(user uint8, below *job) stream {
	top := *p.stateOf(user)
	for _, j := range p.speculation(user) {
		if j == below {
			break
		}
		if j.record > 0 && p.accepts(&top, j.record) {
			p.fold(&top, j.record, p.binary)
		}
	}
	return top
}

// repeats reports whether a command has its outcome when its turn comes.
func (p processor) repeats(top *stream, j *job) bool {
	c := &p.Commands[j.command-1]
	switch {
	case c.Cause > 0 && p.off(fenceCounts) && p.seen[c.User].Repeats(c.fence(), 0):
		return true
	case c.Cause > 0 && p.off(fenceAtTurn):
		return p.known(p.stateOf(c.User), j.command-1)
	case !p.off(repetition):
		return p.known(top, j.command-1)
	}
	// The answer depends on how far the state store has read.
	id, user := p.Commands[j.command-1].ID, p.userOf(j)
	return p.known(p.stateOf(user), j.command-1) || slices.ContainsFunc(p.speculation(user), func(other *job) bool {
		return other != j && other.record > 0 && p.Commands[other.command-1].ID == id
	})
}

// finished reports whether the state store has the outcome of a job.
func (p processor) finished(known *stream, j *job) bool {
	switch j.from {
	case fromQueue:
		return !p.resumes(known, j.command-1, p.binary)
	case fromTimer:
		return !known.schedules(j.command - 1)
	}
	return p.known(known, j.command-1) || j.record == 0 && p.off(repetition)
}

// readBack folds the next record.
func (p processor) readBack() {
	p.folded = p.after(p.folded, p.log)
	r := p.entries[p.folded].record
	user := p.records[r].user
	p.note("%s reads %v", p.name(), r)
	if speculation := p.speculation(user); len(speculation) > 0 && speculation[0].record != r {
		p.overtaken(speculation)
	}
	p.finish(user)
	p.goOn(user)
	p.mark()
}

// overtaken decides the jobs of a speculation again, from the first, after
// another record has taken the sequence number of the first.
func (p processor) overtaken(speculation []*job) {
	switch {
	case p.off(redecide):
		return
	case p.off(redecideAll):
		speculation = speculation[:1]
	case p.off(ownRecord):
		speculation[0].done = true
		speculation = speculation[1:]
	}
	for _, j := range speculation {
		if p.decide(j); j.from != fromTopic && j.record == 0 {
			*j = job{command: j.command, from: j.from, done: true}
		}
	}
}

// finish completes the first jobs of a speculation whose commands have their
// outcome.
func (p processor) finish(user uint8) {
	behind := false
	for _, j := range p.speculation(user) {
		j.failed = j.failed || behind && !p.off(retryBehind)
		if !p.finished(p.stateOf(user), j) {
			return
		}
		behind = j.failed
		*j = job{command: j.command, from: j.from, done: true}
	}
}

// resume decides a stream's deferred commands that may go on, each on top of
// the command before. A command that is parked again stops the rest.
func (p processor) resume(user uint8) {
	for {
		next, any := p.nextDeferred(user)
		if !any {
			return
		}
		p.decide(p.add(job{command: next + 1, from: fromQueue}))
	}
}

// nextDeferred is the deferred command that goes on next, if there is such a
// command and room.
func (p processor) nextDeferred(user uint8) (command uint8, any bool) {
	room, own := MaxDeferred, 0
	for i := range p.jobs {
		if j := &p.jobs[i]; j.from == fromQueue && !j.done {
			room--
			if p.userOf(j) == user {
				own++
			}
		}
	}
	if room <= 0 && own > 0 {
		return 0, false
	}
	if known := p.stateOf(user); p.off(deferredInTurn) && p.resuming(known, p.binary) {
		if own < int(known.deferred.n) {
			return known.deferred.items[own].command, true
		}
		return 0, false
	}
	top := p.top(user, nil)
	return top.deferred.items[0].command, p.resuming(&top, p.binary)
}

// mark moves the session's mark behind the jobs that are done, up to the first
// job under way, and takes these jobs away.
func (p processor) mark() {
	jobs, first := p.jobs, true
	p.jobs = [maxJobs]job{}
	for _, j := range jobs {
		switch {
		case j.command == 0:
			return
		case j.from != fromTopic && j.done:
			continue
		case j.from != fromTopic:
		case first && j.done:
			p.marked = j.command
			continue
		case first && p.off(markReadBack) && p.acked(&j):
			p.marked = j.command
		default:
			first = false
		}
		p.add(j)
	}
}

// assign begins a session: the group has assigned the partition.
func (p processor) assign() {
	p.endSession()
	p.owner = p.who + 1
	p.assigned, p.handler.topic = true, p.world.topic
	p.next, p.marked = p.committed, p.committed
	if !p.off(foldFirst) {
		p.folded = p.log
	}
	for user := range uint8(users) {
		p.goOn(user)
	}
}

// endSession ends a session. Appends under way stay under way.
func (p processor) endSession() {
	*p.handler = handler{folded: p.folded, air: p.air, clock: p.clock}
	for i := range p.air {
		if p.air[i].state == failed {
			p.air[i] = flight{}
		} else if p.air[i].record > 0 {
			p.air[i].state = astray
		}
	}
}

func (p processor) name() string { return string(rune('A' + p.who)) }
