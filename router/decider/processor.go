package decider

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/router/aggregate"
	"github.com/millrace/millrace/router/eventlog"
	"github.com/millrace/millrace/router/kafka"
)

const (
	// maxInProcessor bounds the commands of one partition that are under way.
	maxInProcessor = 1024
	// maxDeferredInProcessor bounds the held ones that go on beside them. Each stream
	// may have one.
	maxDeferredInProcessor = 256
)

// processor decides the commands of one claimed partition, in order, many at a
// time: a decision stacks on the appends of its stream that are under way. A
// command leaves the desk once the ledger has read back its outcome, and the
// partition's offset is marked contiguously behind those that left.
//
// The lock of the ledger's partition guards it.
type processor struct {
	claim   *kafka.Claim
	topicID string
	state   *partition
	log     *slog.Logger
	// append sends a record to the log, and calls delivered when it is known
	// whether Kafka holds it. It returns at once.
	append func(r *eventlog.Record, delivered func(error))

	room         chan struct{} // a place for each command under way
	closed       bool
	empty        chan struct{} // closed when the desk is closed and empty
	last         int64         // the offset of the last command that came
	marked       atomic.Int64  // the offset that the group was told, -1 if none yet
	queue        []*job        // all that came and are not marked, in order
	speculations map[string]*speculation
	deferred     int         // held commands that go on
	maxDeferred  int         // of them
	retry        *time.Timer // runs while appends have failed

	unacked atomic.Int64 // appends that nobody knows of yet whether Kafka holds them
	// outdated is told that this binary can't decide for a stream any more.
	outdated func(error)
	meter    Meter
	tracer   Tracer // nil for none
}

// job is a command at the desk.
type job struct {
	envelope eventlog.Envelope
	command  aggregate.AnyCommand
	at       eventlog.CommandPosition
	record   *eventlog.Record // nil if it needs none, or only a newer binary can decide it
	trace    string           // of the decision, "" if it isn't traced
	deferred bool             // it comes from the stream's held commands
	forgets  bool             // its stream forgets the oldest outcomes behind it
	failed   bool             // the append failed, or waits behind one that did
	done     bool
}

// speculation is what a stream will be once its jobs' appends are read back.
type speculation struct {
	stream   stream // but for its outcomes
	jobs     []*job
	deferred int // jobs of held commands
}

// typeOf is the type of a command of the stack, "" if it isn't there.
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

func newProcessor(claim *kafka.Claim, topicID string, state *partition, send func(*eventlog.Record, func(error)), log *slog.Logger) *processor {
	p := &processor{
		claim: claim, topicID: topicID, state: state, append: send, log: log,
		room:  make(chan struct{}, maxInProcessor),
		empty: make(chan struct{}),
		last:  -1, speculations: map[string]*speculation{}, maxDeferred: maxDeferredInProcessor,
		outdated: func(error) {}, meter: Unmetered{},
	}
	p.marked.Store(-1)
	return p
}

// reached is the offset below which all commands are decided.
func (p *processor) reached() int64 { return max(p.marked.Load(), p.claim.First()) }

// take puts a command on the desk, and waits while the desk is full. It says
// whether it did: a desk whose partition is gone takes nothing.
func (p *processor) take(envelope eventlog.Envelope, command aggregate.AnyCommand) bool {
	select {
	case p.room <- struct{}{}:
	case <-p.claim.Context.Done():
		return false
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	if p.closed || envelope.Offset <= p.last {
		<-p.room
		return false
	}
	p.last = envelope.Offset
	j := &job{envelope: envelope, command: command, at: eventlog.CommandPosition{TopicID: p.topicID, Offset: envelope.Offset}}
	p.queue = append(p.queue, j)
	if command == nil { // it has been dealt with; only its turn is to be kept
		j.done = true
	} else {
		p.push(j)
	}
	p.mark()
	return true
}

// push decides a job on top of its stream's stack.
func (p *processor) push(j *job) {
	name := j.envelope.Stream
	sp := p.speculationOf(name)
	p.decide(sp, j)
	p.advance(name, sp)
}

// speculationOf is a stream's stack. A new one stands on what the ledger has.
func (p *processor) speculationOf(name string) *speculation {
	sp := p.speculations[name]
	if sp == nil {
		sp = new(speculation)
		if s := p.state.streams[name]; s != nil {
			sp.stream = s.copied()
		}
		p.speculations[name] = sp
	}
	return sp
}

// decide puts a job on a stack, with the record that it ends as there, and
// sends it. A command that has its outcome by then gets no record.
func (p *processor) decide(sp *speculation, j *job) {
	sp.jobs = append(sp.jobs, j)
	j.record, j.trace, j.failed = nil, "", false
	if !j.deferred && p.repeats(sp, j) {
		return
	}
	if errors.Is(sp.stream.unreadable, aggregate.ErrUnknownEvent) {
		// A newer binary wrote it, and must decide: parking the stream would
		// count for that one too.
		p.outdated(sp.stream.unreadable)
		return
	}
	traced := p.tracer != nil && j.envelope.Trace != ""
	var began time.Time
	if traced {
		began = time.Now()
	}
	var r eventlog.Record
	if j.deferred {
		r = decideDeferred(p.state.registry, &sp.stream)
	} else {
		r = decide(p.state.registry, &sp.stream, &j.envelope, j.command, j.at)
	}
	j.record = &r
	if traced {
		j.trace = p.tracer.Decided(&j.envelope, &r, began)
	}
	// Stacked by the same fold that reads it back. Its outcomes, which are
	// many, are not: repeats knows what becomes of them.
	sp.stream.outcomes = nil
	sp.stream.fold(p.state.registry, j.record, 1)
	j.forgets = !j.deferred && sp.stream.deferred == nil
	if p.retry != nil {
		j.failed = true // behind those that failed: it goes with them
		return
	}
	p.send(j)
}

// repeats says whether a job's command will have its outcome once all that is
// stacked below is read back: whatever the ledger happens to know by now, it is
// found so whenever the command is delivered.
func (p *processor) repeats(sp *speculation, j *job) bool {
	if sp.stream.hasDecided(j.at) {
		return true
	}
	known, behind := false, 0 // the outcomes behind that one
	if s := p.state.streams[j.envelope.Stream]; s != nil {
		if i := s.index(j.envelope.ID); i >= 0 {
			known, behind = true, len(s.outcomes)-1-i
		}
	}
	for _, earlier := range sp.jobs {
		switch {
		case earlier.record == nil, earlier.deferred: // no outcome of another command
			continue
		case earlier.envelope.ID == j.envelope.ID:
			known, behind = true, 0
		default:
			behind++
		}
		if earlier.forgets && behind >= p.state.remember {
			known = false
		}
	}
	return known
}

func (p *processor) send(j *job) {
	r, sent := j.record, time.Now()
	var traced func(error)
	if j.trace != "" {
		traced = p.tracer.Appending(r, j.trace)
	}
	p.unacked.Add(1)
	p.append(r, func(err error) {
		p.unacked.Add(-1)
		p.meter.Appended(time.Since(sent), err)
		if traced != nil {
			traced(err)
		}
		if err != nil {
			// Not here: the producer waits for this to return.
			go p.appendFailed(j, r, err)
		}
	})
}

// accepted is told of each record that the gate accepted in this partition.
func (p *processor) accepted(s *stream, r *eventlog.Record) {
	sp := p.speculations[r.Stream]
	p.meter.Decided(sp.typeOf(r.CommandID), r)
	if sp == nil {
		p.resume(r.Stream, s)
		return
	}
	if first := sp.jobs[0]; first.record == nil || first.record.Digest != r.Digest {
		p.reexecute(sp, s)
	}
	p.advance(r.Stream, sp)
	p.mark()
}

// reexecute decides again all that was stacked on a slot which somebody else
// took.
func (p *processor) reexecute(sp *speculation, s *stream) {
	jobs := sp.jobs
	*sp = speculation{stream: s.copied()}
	for _, j := range jobs {
		if j.deferred {
			p.deferred--
			p.resumeDeferred(sp, j)
		} else {
			p.decide(sp, j)
		}
	}
}

// resumeAll goes on with all streams whose held commands may.
func (p *processor) resumeAll() {
	for name, s := range p.state.streams {
		p.resume(name, s)
	}
}

// resume goes on with a stream that has no stack, if its held commands may.
func (p *processor) resume(name string, s *stream) {
	if s.resuming() {
		p.advance(name, p.speculationOf(name))
	}
}

// advance takes the jobs off a stack that have their outcome, and decides the
// held commands that may go on, in order, each on top of the one before: as
// many as there is room for. One that is parked again stops the rest.
func (p *processor) advance(name string, sp *speculation) {
	for len(sp.jobs) > 0 && p.isDone(sp.jobs[0]) {
		p.complete(sp)
	}
	for !p.closed && sp.stream.resuming() && (p.deferred < p.maxDeferred || sp.deferred == 0) {
		next := &sp.stream.deferred.first
		if !p.resumeDeferred(sp, &job{envelope: next.Envelope, at: next.At, deferred: true}) {
			break
		}
	}
	if len(sp.jobs) == 0 {
		delete(p.speculations, name)
	}
}

// resumeDeferred decides a held command on top of a stack, if it is the one that goes on
// next there. Otherwise it has done so elsewhere, or waits again.
func (p *processor) resumeDeferred(sp *speculation, j *job) bool {
	if j.record = nil; !sp.stream.resumes(j.envelope.ID) {
		return false
	}
	if p.decide(sp, j); j.record == nil { // a newer binary has to
		sp.jobs = sp.jobs[:len(sp.jobs)-1]
		return false
	}
	p.deferred++
	sp.deferred++
	return true
}

// isDone says whether the ledger has what became of the first job of a stack.
func (p *processor) isDone(j *job) bool {
	s := p.state.streams[j.envelope.Stream]
	if j.deferred {
		return !s.resumes(j.envelope.ID)
	}
	return s.knows(j.envelope.ID, j.at)
}

// complete takes the first job off a stack.
func (p *processor) complete(sp *speculation) {
	j := sp.jobs[0]
	j.done = true
	sp.jobs = sp.jobs[1:]
	if j.deferred {
		p.deferred--
		sp.deferred--
	}
	if j.failed && len(sp.jobs) > 0 {
		sp.jobs[0].failed = true
	}
}

// mark moves the group's offset behind the jobs that are done, up to the
// first that isn't.
func (p *processor) mark() {
	n := 0
	for n < len(p.queue) && p.queue[n].done {
		<-p.room
		n++
	}
	if n > 0 {
		next := p.queue[n-1].envelope.Offset + 1
		p.claim.Mark(next)
		p.marked.Store(next)
		p.queue = slices.Delete(p.queue, 0, n)
	}
	if p.closed && len(p.queue) == 0 {
		p.finish()
	}
}

// close takes no more commands, and waits for those under way until the
// context ends. What is left then is not marked: whoever claims the partition
// next finds it decided, or decides it.
func (p *processor) close(ctx context.Context) (left int) {
	p.state.mu.Lock()
	p.closed = true
	if len(p.queue) == 0 {
		p.finish()
	}
	p.state.mu.Unlock()
	select {
	case <-p.empty:
	case <-ctx.Done():
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	p.finish()
	if p.retry != nil {
		p.retry.Stop()
	}
	if p.state.processor == p {
		p.state.processor = nil
	}
	return len(p.queue)
}

func (p *processor) finish() {
	if !p.finished() {
		close(p.empty)
	}
}

func (p *processor) finished() bool {
	select {
	case <-p.empty:
		return true
	default:
		return false
	}
}
