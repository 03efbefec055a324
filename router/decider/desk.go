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
	// maxAtDesk bounds the commands of one partition that are under way.
	maxAtDesk = 1024
	// maxHeldAtDesk bounds the held ones that go on beside them. Each stream
	// may have one.
	maxHeldAtDesk = 256
)

// desk decides the commands of one claimed partition, in order, many at a
// time: a decision stacks on the appends of its stream that are under way. A
// command leaves the desk once the ledger has read back its outcome, and the
// partition's offset is marked contiguously behind those that left.
//
// The lock of the ledger's partition guards it.
type desk struct {
	claim   *kafka.Claim
	topicID string
	ledger  *ledgerPartition
	log     *slog.Logger
	// append sends a record to the log, and calls delivered when it is known
	// whether Kafka holds it. It returns at once.
	append func(r *eventlog.Record, delivered func(error))

	room   chan struct{} // a place for each command under way
	closed bool
	empty  chan struct{} // closed when the desk is closed and empty
	last   int64         // the offset of the last command that came
	marked atomic.Int64  // the offset that the group was told, -1 if none yet
	queue  []*job        // all that came and are not marked, in order
	stacks map[string]*stack
	held   int         // held commands that go on
	most   int         // of them
	retry  *time.Timer // runs while appends have failed

	unacked atomic.Int64 // appends that nobody knows of yet whether Kafka holds them
	// outdated is told that this binary can't decide for a stream any more.
	outdated func(error)
	meter    Meter
	tracer   Tracer // nil for none
}

// job is a command at the desk.
type job struct {
	command eventlog.Command
	wish    aggregate.AnyCommand
	at      eventlog.CommandPosition
	record  *eventlog.Record // nil if it needs none, or only a newer binary can decide it
	trace   string           // of the decision, "" if it isn't traced
	held    bool             // it comes from the stream's held commands
	forgets bool             // its stream forgets the oldest outcomes behind it
	failed  bool             // the append failed, or waits behind one that did
	done    bool
}

// stack is what a stream will be once its jobs' appends are read back.
type stack struct {
	top  stream // but for its outcomes
	jobs []*job
	held int // jobs of held commands
}

// typeOf is the type of a command of the stack, "" if it isn't there.
func (st *stack) typeOf(commandID string) string {
	if st != nil {
		for _, j := range st.jobs {
			if j.command.ID == commandID {
				return j.command.Type
			}
		}
	}
	return ""
}

func newDesk(claim *kafka.Claim, topicID string, ledger *ledgerPartition, send func(*eventlog.Record, func(error)), log *slog.Logger) *desk {
	d := &desk{
		claim: claim, topicID: topicID, ledger: ledger, append: send, log: log,
		room:  make(chan struct{}, maxAtDesk),
		empty: make(chan struct{}),
		last:  -1, stacks: map[string]*stack{}, most: maxHeldAtDesk,
		outdated: func(error) {}, meter: Unmetered{},
	}
	d.marked.Store(-1)
	return d
}

// reached is the offset below which all commands are decided.
func (d *desk) reached() int64 { return max(d.marked.Load(), d.claim.First()) }

// take puts a command on the desk, and waits while the desk is full. It says
// whether it did: a desk whose partition is gone takes nothing.
func (d *desk) take(c eventlog.Command, wish aggregate.AnyCommand) bool {
	select {
	case d.room <- struct{}{}:
	case <-d.claim.Context.Done():
		return false
	}
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	if d.closed || c.Offset <= d.last {
		<-d.room
		return false
	}
	d.last = c.Offset
	j := &job{command: c, wish: wish, at: eventlog.CommandPosition{TopicID: d.topicID, Offset: c.Offset}}
	d.queue = append(d.queue, j)
	if wish == nil { // it has been dealt with; only its turn is to be kept
		j.done = true
	} else {
		d.push(j)
	}
	d.mark()
	return true
}

// push decides a job on top of its stream's stack.
func (d *desk) push(j *job) {
	name := j.command.Stream
	st := d.stackOf(name)
	d.decide(st, j)
	d.advance(name, st)
}

// stackOf is a stream's stack. A new one stands on what the ledger has.
func (d *desk) stackOf(name string) *stack {
	st := d.stacks[name]
	if st == nil {
		st = new(stack)
		if s := d.ledger.streams[name]; s != nil {
			st.top = s.copied()
		}
		d.stacks[name] = st
	}
	return st
}

// decide puts a job on a stack, with the record that it ends as there, and
// sends it. A command that has its outcome by then gets no record.
func (d *desk) decide(st *stack, j *job) {
	st.jobs = append(st.jobs, j)
	j.record, j.trace, j.failed = nil, "", false
	if !j.held && d.repeats(st, j) {
		return
	}
	if errors.Is(st.top.unreadable, aggregate.ErrUnknownEvent) {
		// A newer binary wrote it, and must decide: parking the stream would
		// count for that one too.
		d.outdated(st.top.unreadable)
		return
	}
	traced := d.tracer != nil && j.command.Trace != ""
	var began time.Time
	if traced {
		began = time.Now()
	}
	var r eventlog.Record
	if j.held {
		r = decideHeld(d.ledger.registry, &st.top)
	} else {
		r = decide(d.ledger.registry, &st.top, &j.command, j.wish, j.at)
	}
	j.record = &r
	if traced {
		j.trace = d.tracer.Decided(&j.command, &r, began)
	}
	// Stacked by the same fold that reads it back. Its outcomes, which are
	// many, are not: repeats knows what becomes of them.
	st.top.outcomes = nil
	st.top.fold(d.ledger.registry, j.record, 1)
	j.forgets = !j.held && st.top.held == nil
	if d.retry != nil {
		j.failed = true // behind those that failed: it goes with them
		return
	}
	d.send(j)
}

// repeats says whether a job's command will have its outcome once all that is
// stacked below is read back: whatever the ledger happens to know by now, it is
// found so whenever the command is delivered.
func (d *desk) repeats(st *stack, j *job) bool {
	if st.top.hasDecided(j.at) {
		return true
	}
	known, behind := false, 0 // the outcomes behind that one
	if s := d.ledger.streams[j.command.Stream]; s != nil {
		if i := s.index(j.command.ID); i >= 0 {
			known, behind = true, len(s.outcomes)-1-i
		}
	}
	for _, earlier := range st.jobs {
		switch {
		case earlier.record == nil, earlier.held: // no outcome of another command
			continue
		case earlier.command.ID == j.command.ID:
			known, behind = true, 0
		default:
			behind++
		}
		if earlier.forgets && behind >= d.ledger.remember {
			known = false
		}
	}
	return known
}

func (d *desk) send(j *job) {
	r, sent := j.record, time.Now()
	var traced func(error)
	if j.trace != "" {
		traced = d.tracer.Appending(r, j.trace)
	}
	d.unacked.Add(1)
	d.append(r, func(err error) {
		d.unacked.Add(-1)
		d.meter.Appended(time.Since(sent), err)
		if traced != nil {
			traced(err)
		}
		if err != nil {
			// Not here: the producer waits for this to return.
			go d.appendFailed(j, r, err)
		}
	})
}

// accepted is told of each record that the gate accepted in this partition.
func (d *desk) accepted(s *stream, r *eventlog.Record) {
	st := d.stacks[r.Stream]
	d.meter.Decided(st.typeOf(r.CommandID), r)
	if st == nil {
		d.resume(r.Stream, s)
		return
	}
	if first := st.jobs[0]; first.record == nil || first.record.Digest != r.Digest {
		d.restack(st, s)
	}
	d.advance(r.Stream, st)
	d.mark()
}

// restack decides again all that was stacked on a slot which somebody else
// took.
func (d *desk) restack(st *stack, s *stream) {
	jobs := st.jobs
	*st = stack{top: s.copied()}
	for _, j := range jobs {
		if j.held {
			d.held--
			d.goOn(st, j)
		} else {
			d.decide(st, j)
		}
	}
}

// resumeAll goes on with all streams whose held commands may.
func (d *desk) resumeAll() {
	for name, s := range d.ledger.streams {
		d.resume(name, s)
	}
}

// resume goes on with a stream that has no stack, if its held commands may.
func (d *desk) resume(name string, s *stream) {
	if s.resuming() {
		d.advance(name, d.stackOf(name))
	}
}

// advance takes the jobs off a stack that have their outcome, and decides the
// held commands that may go on, in order, each on top of the one before: as
// many as there is room for. One that is parked again stops the rest.
func (d *desk) advance(name string, st *stack) {
	for len(st.jobs) > 0 && d.settled(st.jobs[0]) {
		d.settle(st)
	}
	for !d.closed && st.top.resuming() && (d.held < d.most || st.held == 0) {
		next := &st.top.held.first
		if !d.goOn(st, &job{command: next.Command, at: next.At, held: true}) {
			break
		}
	}
	if len(st.jobs) == 0 {
		delete(d.stacks, name)
	}
}

// goOn decides a held command on top of a stack, if it is the one that goes on
// next there. Otherwise it has done so elsewhere, or waits again.
func (d *desk) goOn(st *stack, j *job) bool {
	if j.record = nil; !st.top.resumes(j.command.ID) {
		return false
	}
	if d.decide(st, j); j.record == nil { // a newer binary has to
		st.jobs = st.jobs[:len(st.jobs)-1]
		return false
	}
	d.held++
	st.held++
	return true
}

// settled says whether the ledger has what became of the first job of a stack.
func (d *desk) settled(j *job) bool {
	s := d.ledger.streams[j.command.Stream]
	if j.held {
		return !s.resumes(j.command.ID)
	}
	return s.knows(j.command.ID, j.at)
}

// settle takes the first job off a stack.
func (d *desk) settle(st *stack) {
	j := st.jobs[0]
	j.done = true
	st.jobs = st.jobs[1:]
	if j.held {
		d.held--
		st.held--
	}
	if j.failed && len(st.jobs) > 0 {
		st.jobs[0].failed = true
	}
}

// mark moves the group's offset behind the jobs that are done, up to the
// first that isn't.
func (d *desk) mark() {
	n := 0
	for n < len(d.queue) && d.queue[n].done {
		<-d.room
		n++
	}
	if n > 0 {
		next := d.queue[n-1].command.Offset + 1
		d.claim.Mark(next)
		d.marked.Store(next)
		d.queue = slices.Delete(d.queue, 0, n)
	}
	if d.closed && len(d.queue) == 0 {
		d.finish()
	}
}

// close takes no more commands, and waits for those under way until the
// context ends. What is left then is not marked: whoever claims the partition
// next finds it decided, or decides it.
func (d *desk) close(ctx context.Context) (left int) {
	d.ledger.mu.Lock()
	d.closed = true
	if len(d.queue) == 0 {
		d.finish()
	}
	d.ledger.mu.Unlock()
	select {
	case <-d.empty:
	case <-ctx.Done():
	}
	d.ledger.mu.Lock()
	defer d.ledger.mu.Unlock()
	d.finish()
	if d.retry != nil {
		d.retry.Stop()
	}
	if d.ledger.desk == d {
		d.ledger.desk = nil
	}
	return len(d.queue)
}

func (d *desk) finish() {
	if !d.finished() {
		close(d.empty)
	}
}

func (d *desk) finished() bool {
	select {
	case <-d.empty:
		return true
	default:
		return false
	}
}
